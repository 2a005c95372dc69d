//! The grid of times and a curve on it.

use alloc::vec::Vec;

use crate::units::{Micros, Millis};

/// Times `0, step, 2 step, .. , cells * step`, the last at most the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    step: Millis,
    cells: usize,
}

/// No time to split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a deadline is between 1 ms and one day, not {0}")]
pub struct InvalidGrid(pub Millis);

impl Grid {
    /// Most cells. Convolution is quadratic: 512² is a quarter of a million products an operator, and 400 ms are split to the
    /// millisecond.
    pub const CELLS_MAX: u64 = 512;
    const DEADLINE_MAX: u64 = 86_400_000;

    /// The finest grid of whole milliseconds with at most [`Grid::CELLS_MAX`] cells below `deadline`.
    ///
    /// # Errors
    /// [`InvalidGrid`] for zero or more than a day.
    pub fn new(deadline: Millis) -> Result<Self, InvalidGrid> {
        if !(1..=Self::DEADLINE_MAX).contains(&deadline.0) {
            return Err(InvalidGrid(deadline));
        }
        let step = deadline.0.div_ceil(Self::CELLS_MAX);
        Ok(Self { step: Millis(step), cells: (deadline.0 / step) as usize })
    }

    /// Number of cells: the index of the last point.
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// Time of a point.
    pub const fn time(&self, cell: usize) -> Millis {
        Millis(self.step.0.saturating_mul(cell as u64))
    }

    /// The last point at or before a time, never beyond the grid.
    pub fn cell(&self, time: Millis) -> usize {
        ((time.0 / self.step.0) as usize).min(self.cells)
    }

    /// Cells that a wait takes, rounded up; may be more than there are.
    pub const fn wait(&self, time: Millis) -> usize {
        time.0.div_ceil(self.step.0) as usize
    }

    /// Every point as a time.
    pub fn times(&self) -> impl Iterator<Item = Micros> + '_ {
        (0..=self.cells).map(|cell| self.time(cell).to_micros())
    }
}

/// A non-decreasing function from the points of a grid to `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<f64>);

impl Curve {
    /// Takes values as they come: clamped to `[0, 1]`, never falling; NaN counts as the value before it.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut highest = 0.0_f64;
        let rising = values.into_iter().map(|value| {
            // Written so that NaN changes nothing.
            if value > highest {
                highest = value.min(1.0);
            }
            highest
        });
        Self(rising.collect())
    }

    /// The same everywhere.
    pub fn constant(grid: &Grid, value: f64) -> Self {
        Self::new((0..=grid.cells()).map(|_| value))
    }

    /// Value at a point; that of the last point beyond it.
    pub fn at(&self, cell: usize) -> f64 {
        self.0.get(cell).or(self.0.last()).copied().unwrap_or(0.0)
    }

    /// The first point with at least this value.
    pub fn first_at_least(&self, value: f64) -> Option<usize> {
        self.0.iter().position(|&v| v >= value)
    }

    /// All values.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Whether more time helps at all.
    pub fn is_constant(&self) -> bool {
        self.0.first() == self.0.last()
    }

    /// Nothing below `min`, no more than at `max` beyond it: what bounds on a timeout do.
    pub fn bounded(&self, min: usize, max: usize) -> Self {
        Self::new((0..self.0.len()).map(|cell| if cell < min { 0.0 } else { self.at(cell.min(max)) }))
    }
}
