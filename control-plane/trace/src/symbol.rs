//! Names as small numbers: a million spans name a few hundred services and operations.

use hashbrown::HashMap;

/// A name known to one [`Symbols`]; comparing two is comparing integers. The order is that of first use, not of the alphabet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

impl Symbol {
    /// The empty name: "not said".
    pub const NONE: Self = Self(0);

    /// Whether nothing was said.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The symbol at a position.
    pub(crate) const fn of_index(index: u32) -> Self {
        Self(index)
    }

    /// Position, dense from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All names seen, each once.
#[derive(Clone, Debug)]
pub struct Symbols {
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, Symbol>,
    /// Names that did not fit.
    overflowed: u64,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut symbols = Self { texts: Vec::new(), by_text: HashMap::new(), overflowed: 0 };
        symbols.of("");
        symbols
    }
}

impl Symbols {
    /// Most names kept apart. An application that writes ids into span names would otherwise grow without bound.
    pub const MAX: usize = 1 << 18;
    /// What stands for every name above the limit.
    pub const OVERFLOW: &'static str = "(other)";
    /// Longest name kept, in bytes; the rest is cut off.
    pub const BYTES_MAX: usize = 256;

    /// The symbol of a name. O(length).
    pub fn of(&mut self, text: &str) -> Symbol {
        let text = cut(text);
        if let Some(&symbol) = self.by_text.get(text) {
            return symbol;
        }
        if self.texts.len() >= Self::MAX {
            self.overflowed += 1;
            return self.by_text.get(Self::OVERFLOW).copied().unwrap_or_default();
        }
        let fits = self.texts.len() + 1 < Self::MAX;
        self.insert(if fits { text } else { Self::OVERFLOW })
    }

    fn insert(&mut self, text: &str) -> Symbol {
        let symbol = Symbol(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.push(text.into());
        self.by_text.insert(text.into(), symbol);
        symbol
    }

    /// The symbol of a name seen before.
    pub fn find(&self, text: &str) -> Option<Symbol> {
        self.by_text.get(cut(text)).copied()
    }

    /// The name of a symbol of this table; empty for a foreign one.
    pub fn text(&self, symbol: Symbol) -> &str {
        self.texts.get(symbol.index()).map_or("", |text| text)
    }

    /// Names that were folded into [`Symbols::OVERFLOW`].
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(Symbols::BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_symbol() {
        let mut symbols = Symbols::default();
        let (front, cart) = (symbols.of("front"), symbols.of("cart"));
        assert_ne!(front, cart);
        assert_eq!(symbols.of("front"), front);
        assert_eq!((symbols.text(cart), symbols.text(Symbol::NONE)), ("cart", ""));
        assert!(symbols.of("").is_none());
        assert_eq!(symbols.find("nobody"), None);
    }

    #[test]
    fn names_beyond_the_limit_are_one_name_and_counted() {
        let mut symbols = Symbols::default();
        (0..Symbols::MAX + 10).for_each(|i| {
            symbols.of(&i.to_string());
        });
        assert_eq!(symbols.texts.len(), Symbols::MAX);
        let late = symbols.of("late");
        assert_eq!(symbols.text(late), Symbols::OVERFLOW);
        assert!(symbols.overflowed() >= 10);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut symbols = Symbols::default();
        let long = "ä".repeat(200);
        let symbol = symbols.of(&long);
        assert_eq!(symbols.text(symbol), "ä".repeat(128));
    }
}
