//! Rows and panels are split where they are needed, and no more than stays in the cache of a core.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use rayon::prelude::*;

use super::super::shares::{Panels, share_out};
use super::super::tile::WIDTH;
use super::multiply::{Ahead, Columns, SIDE, Sums, Units, Within};
use super::tiles::{DEPTH, LANES, PARTS, Parts, Split, Tile};

/// Steps along the inputs that are summed on the units before what they come to is added.
const MOST_STEPS: usize = 64;

/// Bytes of split rows that are run through all panels before the next ones: half of the cache of a core.
const ROWS_IN_CACHE: usize = 1 << 20;

/// Bytes of split rows that are kept for all threads.
const ROWS_KEPT: usize = 1 << 25;

/// A weight whose panels can be split.
pub(crate) trait SplitPanels: Panels {
    /// Whether its panels are in bf16.
    fn is_bf16(&self) -> bool;

    /// Some inputs of a panel: `room` has space for them in f32.
    fn inputs<'r>(
        &'r self,
        panel: usize,
        inputs: Range<usize>,
        room: &'r mut Vec<f32>,
    ) -> Inputs<'r>;
}

/// Some inputs of a panel.
#[derive(Clone, Copy)]
pub(crate) enum Inputs<'p> {
    /// In f32: `[inputs, WIDTH]`.
    Numbers(&'p [f32]),
    /// In bf16, two inputs to a word: `[inputs / 2, WIDTH]`.
    Pairs(&'p [u32]),
}

/// `x` `[rows, inputs]` times each of some weights, `[rows, outputs]`, written over its `y`.
pub(crate) fn times_all<P: SplitPanels>(
    units: Units,
    x: &[f32],
    inputs: usize,
    mut products: Vec<(&P, &mut [f32])>,
) {
    if inputs == 0 {
        for (_, y) in &mut products {
            y.fill(0.0);
        }
        return;
    }
    let at_a_time = whole_sides(ROWS_KEPT, inputs.div_ceil(DEPTH));
    let by_numbers = products.iter().all(|(weight, _)| !weight.is_bf16());
    for (nth, x) in x.chunks(at_a_time * inputs).enumerate() {
        let rows = if x.len() == inputs && inputs.is_multiple_of(DEPTH) && by_numbers {
            Rows::single(units, x)
        } else {
            Rows::split(units, x, inputs)
        };
        let some = products.iter_mut().map(|(weight, y)| {
            let outputs = weight.outputs();
            (*weight, &mut y[nth * at_a_time * outputs..][..x.len() / inputs * outputs])
        });
        share_out(some.collect(), |weight, panels, y| rows.run(weight, panels, y));
        if !rows.split.is_empty() {
            KEPT.set(rows.split);
        }
    }
}

thread_local! {
    /// The room of the rows before: new memory costs as much as splitting them.
    static KEPT: Cell<Vec<Split>> = const { Cell::new(Vec::new()) };
}

/// The rows, in whole products, whose split numbers take at most so many bytes.
fn whole_sides(bytes: usize, steps: usize) -> usize {
    let side = SIDE / LANES * steps.max(1) * size_of::<Split>();
    (bytes / side).max(1) * SIDE
}

/// Rows that are split.
struct Rows {
    units: Units,
    /// `[strips, steps]`; where a strip has fewer rows than a tile, the others are anything.
    split: Vec<Split>,
    /// Of a single row the parts of each number.
    single: Vec<Parts>,
    inputs: usize,
    steps: usize,
}

impl Rows {
    fn single(units: Units, x: &[f32]) -> Self {
        let (inputs, steps) = (x.len(), x.len() / DEPTH);
        Self { units, split: Vec::new(), single: units.split_each(x), inputs, steps }
    }

    fn split(units: Units, x: &[f32], inputs: usize) -> Self {
        let (steps, strip_len) = (inputs.div_ceil(DEPTH), LANES * inputs);
        let mut split = KEPT.take();
        split.resize(x.len().div_ceil(strip_len) * steps, [Tile::ZERO; PARTS]);
        let work = |(strip, x): (&mut [Split], &[f32])| {
            for (step, split) in strip.iter_mut().enumerate() {
                let some = step * DEPTH..inputs.min((step + 1) * DEPTH);
                units.split_rows(x.chunks_exact(inputs).map(|row| &row[some.clone()]), split);
            }
        };
        let strips = split.chunks_exact_mut(steps).zip(x.chunks(strip_len));
        if rayon::current_num_threads() == 1 || strips.len() <= SIDE / LANES {
            strips.for_each(work);
        } else {
            split.par_chunks_exact_mut(steps).zip(x.par_chunks(strip_len)).for_each(work);
        }
        Self { units, split, single: Vec::new(), inputs, steps }
    }

    /// Some steps of the strip that a row is in.
    fn strip(&self, row: usize, steps: &Range<usize>) -> &[Split] {
        &self.split[row / LANES * self.steps..][steps.clone()]
    }

    /// Runs all rows through some panels: `y` has of each row the columns of these.
    fn run(&self, weight: &impl SplitPanels, panels: Range<usize>, y: &mut [&mut [f32]]) {
        let at_a_time = whole_sides(ROWS_IN_CACHE, self.steps.min(MOST_STEPS));
        ROOM.with_borrow_mut(|room| {
            self.units.within(|within| {
                for first in (0..y.len()).step_by(at_a_time) {
                    let some = first..y.len().min(first + at_a_time);
                    for start in (0..self.steps).step_by(MOST_STEPS) {
                        let steps = start..self.steps.min(start + MOST_STEPS);
                        let inputs = start * DEPTH..self.inputs.min(steps.end * DEPTH);
                        let part = Part { within, rows: self, some: some.clone(), steps };
                        for (nth, panel) in panels.clone().enumerate() {
                            let panel = weight.inputs(panel, inputs.clone(), &mut room.wide);
                            part.run(panel, nth, &mut room.split, y);
                        }
                    }
                }
            });
        });
    }
}

/// Room of a thread.
struct Room {
    wide: Vec<f32>,
    split: SplitRoom,
}

struct SplitRoom {
    columns: [Vec<Split>; 2],
    pairs: Vec<[[u32; SIDE]; DEPTH / 2]>,
    sums: Box<Sums>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room {
        wide: Vec::new(),
        split: SplitRoom {
            columns: [Vec::new(), Vec::new()],
            pairs: Vec::new(),
            sums: Box::new(Sums([[0.0; SIDE]; SIDE])),
        },
    });
}

/// Some rows, and some steps along the inputs.
struct Part<'r> {
    within: &'r Within,
    rows: &'r Rows,
    some: Range<usize>,
    steps: Range<usize>,
}

impl Part<'_> {
    /// Runs the rows through a panel, the `nth` that `y` has columns of.
    fn run(&self, panel: Inputs<'_>, nth: usize, room: &mut SplitRoom, y: &mut [&mut [f32]]) {
        let SplitRoom { columns, pairs, sums } = room;
        match panel {
            Inputs::Numbers(numbers) if !self.rows.single.is_empty() => {
                let row = &self.rows.single[self.steps.start * DEPTH..self.steps.end * DEPTH];
                self.rows.units.one_row(row, numbers, &mut sums.0[0]);
                self.put(&sums.0[0], y[0], nth);
            }
            Inputs::Numbers(numbers) => {
                let (inputs, _) = numbers.as_chunks::<WIDTH>();
                for (half, columns) in columns.iter_mut().enumerate() {
                    columns.resize(self.steps.len(), [Tile::ZERO; PARTS]);
                    for (split, inputs) in columns.iter_mut().zip(inputs.chunks(DEPTH)) {
                        self.rows.units.split_columns(inputs, half, split);
                    }
                }
                let [first, second] = columns;
                let next = self.ahead(numbers);
                self.multiply((Columns::Split([first, second]), next), nth, sums, y);
            }
            Inputs::Pairs(words) => {
                let (inputs, _) = words.as_chunks::<SIDE>();
                let (mut steps, rest) = inputs.as_chunks::<{ DEPTH / 2 }>();
                if !rest.is_empty() {
                    pairs.clear();
                    pairs.resize(self.steps.len(), [[0; SIDE]; DEPTH / 2]);
                    pairs.as_flattened_mut()[..inputs.len()].copy_from_slice(inputs);
                    steps = pairs.as_slice();
                }
                self.multiply((Columns::Whole(steps), self.ahead(words)), nth, sums, y);
            }
        }
    }

    /// What follows a panel, as much with each step as there is time for.
    fn ahead<W>(&self, panel: &[W]) -> Ahead {
        let products = self.some.len().div_ceil(SIDE) * self.steps.len();
        let lines = size_of_val(panel).div_ceil(64 * products);
        Ahead { at: panel.as_ptr_range().end.cast(), lines }
    }

    fn multiply(
        &self,
        (columns, mut ahead): (Columns<'_>, Ahead),
        nth: usize,
        sums: &mut Sums,
        y: &mut [&mut [f32]],
    ) {
        for first in self.some.clone().step_by(SIDE) {
            let end = self.some.end.min(first + SIDE);
            let strip = |row| self.rows.strip(row, &self.steps);
            let strips = [strip(first), strip(end - 1)];
            let count = (end - first).div_ceil(LANES);
            self.within.multiply(&strips[..count], columns, ahead, sums);
            ahead.at = ahead.at.wrapping_add(ahead.lines * self.steps.len() * 64);
            for (sums, y) in sums.0.iter().zip(&mut y[first..end]) {
                self.put(sums, y, nth);
            }
        }
    }

    /// Writes the sums of the first steps, and adds those of others.
    fn put(&self, sums: &[f32; WIDTH], y: &mut [f32], nth: usize) {
        let y = &mut y[nth * WIDTH..];
        if let (Some(y), 0) = (y.first_chunk_mut::<WIDTH>(), self.steps.start) {
            *y = *sums;
            return;
        }
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = if self.steps.start == 0 { *sum } else { *y + sum };
        }
    }
}
