//! Words of a model's file that stand for a few kinds of thing. Files of other makers may say others, which are kept as they stand.

/// What a caller expects of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallType {
    /// `sync`: an answer.
    Sync,
    /// `async`: none, the call is a message.
    Async,
    /// A word of another maker; neither of the above.
    Other(String),
}

impl CallType {
    /// The word of the file.
    pub fn label(&self) -> &str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for CallType {
    fn from(word: &str) -> Self {
        match word {
            "sync" => Self::Sync,
            "async" => Self::Async,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// How the members of a redundant group stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RedundancyPattern {
    /// `race`: the first good answer wins.
    Race,
    /// `fallback`: the next is asked after the one before failed.
    Fallback,
    /// `quorum`: some of the answers are enough.
    Quorum,
    /// A word of another maker; none of the above.
    Other(String),
}

impl RedundancyPattern {
    /// The word of the file.
    pub fn label(&self) -> &str {
        match self {
            Self::Race => "race",
            Self::Fallback => "fallback",
            Self::Quorum => "quorum",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for RedundancyPattern {
    fn from(word: &str) -> Self {
        match word {
            "race" => Self::Race,
            "fallback" => Self::Fallback,
            "quorum" => Self::Quorum,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_written_as_it_was_read() {
        for word in ["sync", "async", "race", "fallback", "quorum", "Sync", "rpc over mail", "n+1"] {
            assert_eq!(CallType::from(word).label(), word);
            assert_eq!(RedundancyPattern::from(word).label(), word);
        }
        assert_eq!(CallType::from("async"), CallType::Async);
        assert_eq!(CallType::from("ASYNC"), CallType::Other("ASYNC".to_owned()));
        assert_eq!(RedundancyPattern::from("quorum"), RedundancyPattern::Quorum);
    }
}
