//! The least expectation over all joint distributions with given marginals, by the simplex method.

/// Least of `sum x_w value(w)` over distributions x of worlds w, one level for each component, such that level l of component i has
/// probability `marginals[i][l]`. Dense, with Bland's rule: for some hundred worlds.
pub(super) fn least(marginals: &[Vec<f64>], value: impl Fn(&[usize]) -> f64) -> f64 {
    let worlds = worlds(marginals);
    // Of each component all levels but the last, whose share follows, and the sum of all.
    let rows: Vec<(usize, usize)> = marginals
        .iter()
        .enumerate()
        .flat_map(|(i, levels)| (1..levels.len()).map(move |l| (i, l - 1)))
        .collect();
    let column = |world: &Vec<usize>| -> Vec<f64> {
        let own = rows.iter().map(|&(i, level)| f64::from(u8::from(world[i] == level)));
        own.chain([1.0]).collect()
    };
    let target: Vec<f64> = rows.iter().map(|&(i, level)| marginals[i][level]).chain([1.0]).collect();
    let columns: Vec<_> = worlds.iter().map(column).collect();
    let costs: Vec<_> = worlds.iter().map(|world| value(world)).collect();
    Tableau::new(&columns, &target).solve(&costs)
}

fn worlds(marginals: &[Vec<f64>]) -> Vec<Vec<usize>> {
    marginals.iter().fold(vec![Vec::new()], |worlds, levels| {
        let longer = |world: &Vec<usize>, level| world.iter().copied().chain([level]).collect();
        worlds.iter().flat_map(|world| (0..levels.len()).map(move |level| longer(world, level))).collect()
    })
}

/// Equations in the form "basic variable = ...", artificial variables behind the real ones.
struct Tableau {
    /// Each row: coefficients, and the right side last.
    rows: Vec<Vec<f64>>,
    basis: Vec<usize>,
    real: usize,
}

const EPSILON: f64 = 1e-10;

impl Tableau {
    fn new(columns: &[Vec<f64>], target: &[f64]) -> Self {
        let (real, n) = (columns.len(), target.len());
        let row = |i: usize| {
            let own = columns.iter().map(|column| column[i]);
            own.chain((0..n).map(|j| f64::from(u8::from(i == j)))).chain([target[i]]).collect()
        };
        Self { rows: (0..n).map(row).collect(), basis: (real..real + n).collect(), real }
    }

    fn solve(&mut self, costs: &[f64]) -> f64 {
        let artificial: Vec<f64> = (0..self.real + self.rows.len())
            .map(|variable| f64::from(u8::from(variable >= self.real)))
            .collect();
        self.minimize(&artificial, artificial.len());
        let padded: Vec<f64> = costs.iter().copied().chain(self.rows.iter().map(|_| 0.0)).collect();
        self.minimize(&padded, self.real);
        let right = |row: &Vec<f64>| row.last().copied().unwrap_or_default();
        self.basis.iter().zip(&self.rows).map(|(variable, row)| padded[*variable] * right(row)).sum()
    }

    /// Only the first `allowed` variables may enter the basis.
    fn minimize(&mut self, costs: &[f64], allowed: usize) {
        loop {
            let reduced = |variable: usize| {
                let spent: f64 =
                    self.basis.iter().zip(&self.rows).map(|(basic, row)| costs[*basic] * row[variable]).sum();
                costs[variable] - spent
            };
            let Some(enters) = (0..allowed).find(|&variable| reduced(variable) < -EPSILON) else { return };
            let Some(leaves) = self.leaving(enters) else { return };
            self.pivot(leaves, enters);
        }
    }

    /// The row with the smallest ratio; of equal ones that of the smallest variable.
    fn leaving(&self, enters: usize) -> Option<usize> {
        let ratios = self.rows.iter().enumerate().filter(|(_, row)| row[enters] > EPSILON);
        let ratios = ratios.map(|(i, row)| (row[row.len() - 1] / row[enters], self.basis[i], i));
        ratios.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, _, i)| i)
    }

    fn pivot(&mut self, leaves: usize, enters: usize) {
        let scale = self.rows[leaves][enters];
        self.rows[leaves].iter_mut().for_each(|value| *value /= scale);
        let row = self.rows[leaves].clone();
        for (_, other) in self.rows.iter_mut().enumerate().filter(|(i, _)| *i != leaves) {
            let factor = other[enters];
            other.iter_mut().zip(&row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        self.basis[leaves] = enters;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_two_events_together_is_frechets() {
        let both = |world: &[usize]| f64::from(u8::from(world == [1, 1]));
        for (a, b) in [(0.9, 0.8), (0.3, 0.4), (1.0, 0.5), (0.0, 0.7)] {
            let marginals = [vec![1.0 - a, a], vec![1.0 - b, b]];
            assert!((least(&marginals, both) - f64::max(0.0, a + b - 1.0)).abs() < 1e-9);
            assert!((-least(&marginals, |world| -both(world)) - f64::min(a, b)).abs() < 1e-9);
        }
    }
}
