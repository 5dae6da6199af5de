//! How products are shared out among threads.

use std::ops::Range;

use rayon::prelude::*;

use super::tile::WIDTH;

/// Parts that a thread's share of the panels is cut into, for threads do not run at one speed.
const SHARES_PER_THREAD: usize = 3;

/// A weight in panels of `WIDTH` outputs.
pub(super) trait Panels: Sync {
    fn outputs(&self) -> usize;

    fn panels(&self) -> usize {
        self.outputs().div_ceil(WIDTH)
    }
}

/// A share of a product.
struct Share<'p, 'y, P> {
    weight: &'p P,
    panels: Range<usize>,
    /// Of each row of the result the columns of these.
    y: Vec<&'y mut [f32]>,
}

/// Does `work` with each share of some products `[rows, outputs]`: with some panels of a weight, and of each row of
/// its result the columns of these. All in one go, for each time that threads wait for each other costs as much as
/// a small product.
pub(super) fn share_out<P: Panels>(
    products: Vec<(&P, &mut [f32])>,
    work: impl Fn(&P, Range<usize>, &mut [&mut [f32]]) + Sync,
) {
    let all: usize = products.iter().map(|(weight, _)| weight.panels()).sum();
    let threads = rayon::current_num_threads();
    let shares = if threads == 1 { 1 } else { SHARES_PER_THREAD * threads };
    let per_share = all.div_ceil(shares).max(1);
    let mut tasks: Vec<Share<'_, '_, P>> = Vec::new();
    for (weight, y) in products {
        let (first, panels) = (tasks.len(), weight.panels());
        tasks.extend((0..panels).step_by(per_share).map(|start| {
            let panels = start..panels.min(start + per_share);
            Share { weight, panels, y: Vec::new() }
        }));
        for row in y.chunks_exact_mut(weight.outputs().max(1)) {
            let shares = row.chunks_mut(per_share * WIDTH);
            tasks[first..].iter_mut().zip(shares).for_each(|(task, columns)| task.y.push(columns));
        }
    }
    let work = |Share { weight, panels, mut y }: Share<'_, '_, P>| work(weight, panels, &mut y);
    if threads == 1 {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}
