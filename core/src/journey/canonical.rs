//! The canonical text: `Series(front, Parallel(cart, pricing), Fallback(paya, 0.5*payb))`.
//!
//! Parameters come first as `key=value`; a weight or probability stands before its operand as `0.5*`, an interval as `[0.4,0.6]*`;
//! durations are whole milliseconds; numbers are the shortest that read back to the same bits. What is the default is not written.

use core::fmt;

use super::{Alternative, Choice, Expr, Join, Probability};
use crate::units::{Millis, Ratio};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Leaf(name) = self {
            return f.write_str(name.as_str());
        }
        let mut list = List { f, first: true };
        list.f.write_str(self.operator())?;
        list.f.write_str("(")?;
        match self {
            Self::Leaf(_) => {}
            Self::Series(steps) => list.all(steps)?,
            Self::Parallel { join, branches } => {
                list.at_least(*join)?;
                list.all(branches)?;
            }
            Self::Race { delay, branches } => {
                list.duration("delay", Some(*delay).filter(|d| d.0 > 0))?;
                list.all(branches)?;
            }
            Self::Fallback { primary, alternates } => {
                list.item(primary)?;
                alternates.iter().try_for_each(|a| list.item(a))?;
            }
            Self::Branch(choices) => choices.iter().try_for_each(|c| list.item(c))?,
            Self::Retry { attempts, per_try_timeout, body } => {
                list.item(&format_args!("attempts={attempts}"))?;
                list.duration("perTry", *per_try_timeout)?;
                list.item(body)?;
            }
            Self::Timeout { after, body } => {
                list.duration("after", Some(*after))?;
                list.item(body)?;
            }
            Self::Repeat { count, body } => {
                list.item(&format_args!("count={count}"))?;
                list.item(body)?;
            }
            Self::Async(body) => list.item(body)?,
        }
        list.f.write_str(")")
    }
}

/// A list separated by commas.
struct List<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl List<'_, '_> {
    fn item(&mut self, item: &impl fmt::Display) -> fmt::Result {
        if !self.first {
            self.f.write_str(", ")?;
        }
        self.first = false;
        write!(self.f, "{item}")
    }

    fn all(&mut self, items: &[Expr]) -> fmt::Result {
        items.iter().try_for_each(|item| self.item(item))
    }

    fn at_least(&mut self, join: Join) -> fmt::Result {
        match join {
            Join::All => Ok(()),
            Join::AtLeast(k) => self.item(&format_args!("atLeast={k}")),
        }
    }

    fn duration(&mut self, key: &str, value: Option<Millis>) -> fmt::Result {
        value.map_or(Ok(()), |ms| self.item(&format_args!("{key}={}ms", ms.0)))
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight != Ratio::ONE {
            write!(f, "{}*", self.weight.get())?;
        }
        self.expr.fmt(f)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.probability, self.expr)
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_exact() { write!(f, "{}", self.lo()) } else { write!(f, "[{},{}]", self.lo(), self.hi()) }
    }
}
