//! Exit codes, the stable contract of every command.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for a gate PASS.
    Ok,
    /// Something outside the input failed: a port taken, a disk full, a server that does not answer.
    Runtime,
    /// A gate says FAIL.
    Fail,
    /// A gate says REVIEW.
    Review,
    /// The command line is wrong (`EX_USAGE` of sysexits.h).
    Usage,
    /// A file is wrong (`EX_DATAERR` of sysexits.h).
    InvalidInput,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Runtime => 1,
            Self::Fail => 2,
            Self::Review => 3,
            Self::Usage => 64,
            Self::InvalidInput => 65,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
