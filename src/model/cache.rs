//! Keys and values of what was run, by block. A block has its memory from when it is first filled.

use candle_core::{DType, Device, Result, Tensor};

use super::config::Config;
use super::ops::{Attend, Attention, BLOCK, Heads, Placed, Row, Rows, attention, with_values};

/// Keys and values of all layers.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Kept,
    heads: Heads,
    windows: Vec<Option<usize>>,
}

#[derive(Debug)]
enum Kept {
    /// On the CPU: of each block `[layers, Heads::block]`.
    Blocks(Vec<Box<[f32]>>),
    /// On other devices: of each layer keys and values, `[places, kv_heads·d]`.
    Tensors(Vec<(Tensor, Tensor)>),
}

impl Cache {
    /// Room for `most` blocks of a network's keys and values.
    pub(super) fn new(
        config: &Config,
        most: usize,
        (dtype, device): (DType, &Device),
    ) -> Result<Self> {
        let heads = Heads {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            dim: config.head_dim,
        };
        let kept = if device.is_cpu() {
            Kept::Blocks(Vec::new())
        } else {
            Kept::Tensors(Self::tensors(config, most, (dtype, device))?)
        };
        Ok(Self { kept, heads, windows: config.windows.clone() })
    }

    fn tensors(
        config: &Config,
        most: usize,
        (dtype, device): (DType, &Device),
    ) -> Result<Vec<(Tensor, Tensor)>> {
        let shape = (most * BLOCK, config.num_key_value_heads * config.head_dim);
        let make = || Tensor::zeros(shape, dtype, device);
        (0..config.num_hidden_layers).map(|_| Ok((make()?, make()?))).collect()
    }

    /// Bytes that a block takes.
    pub(super) fn bytes_per_block(config: &Config) -> usize {
        let heads = Heads {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            dim: config.head_dim,
        };
        config.num_hidden_layers * heads.block() * size_of::<f32>()
    }

    /// Makes memory for the blocks below `count`.
    pub(super) fn reach(&mut self, count: usize) {
        if let Kept::Blocks(blocks) = &mut self.kept {
            let size = self.windows.len() * self.heads.block();
            while blocks.len() < count {
                blocks.push(vec![0.0; size].into());
            }
        }
    }

    /// Copies all that a block holds to another.
    pub(super) fn copy(&mut self, from: usize, to: usize) -> Result<()> {
        match &mut self.kept {
            Kept::Blocks(blocks) => {
                let [from, to] = blocks.get_disjoint_mut([from, to]).map_err(|_| {
                    candle_core::Error::Msg("a block is copied to itself".to_owned())
                })?;
                to.copy_from_slice(from);
            }
            Kept::Tensors(layers) => {
                for (keys, values) in layers {
                    for kept in [keys, values] {
                        let own = kept.narrow(0, from * BLOCK, BLOCK)?.copy()?;
                        kept.slice_set(&own, 0, to * BLOCK)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps the keys and values `[tokens, kv_heads·d]` of a run at a layer.
    pub(super) fn keep(
        &mut self,
        layer: usize,
        k: &Tensor,
        v: &Tensor,
        rows: &[Placed],
    ) -> Result<()> {
        let (heads, width) = (self.heads, self.heads.kv_heads * self.heads.dim);
        match &mut self.kept {
            Kept::Blocks(blocks) => with_values::<f32, _>(k, |k| {
                with_values::<f32, _>(v, |v| {
                    for (token, block, place) in rows.iter().flat_map(places) {
                        let block = &mut blocks[block][layer * heads.block()..][..heads.block()];
                        let own = token * width..(token + 1) * width;
                        heads.write(block, place, &k[own.clone()], &v[own]);
                    }
                    Ok(())
                })
            }),
            Kept::Tensors(layers) => {
                let (keys, values) = &layers[layer];
                for (first, count, place) in rows.iter().flat_map(stretches) {
                    keys.slice_set(&k.narrow(0, first, count)?, 0, place)?;
                    values.slice_set(&v.narrow(0, first, count)?, 0, place)?;
                }
                Ok(())
            }
        }
    }

    /// What the rows of a run attend to, for devices that want it laid out: once for all layers.
    pub(super) fn rows(&self, rows: &[Placed]) -> Rows {
        match self.kept {
            Kept::Blocks(_) => Rows::default(),
            Kept::Tensors(_) => rows.iter().map(spans).collect::<Vec<_>>().into(),
        }
    }

    /// Attention of queries `[tokens, heads·d]` to what is kept at a layer.
    pub(super) fn attend(
        &self,
        layer: usize,
        q: &Tensor,
        rows: &[Placed],
        laid_out: &Rows,
    ) -> Result<Tensor> {
        let (heads, window) = (self.heads, self.windows[layer]);
        match &self.kept {
            Kept::Blocks(blocks) => {
                let block = |block: usize| &blocks[block][layer * heads.block()..][..heads.block()];
                Attention { heads, window, rows, block }.attend(q)
            }
            Kept::Tensors(layers) => {
                let (keys, values) = &layers[layer];
                let Heads { heads, kv_heads, dim: head_dim } = heads;
                let how = Attend { rows: laid_out.clone(), heads, kv_heads, head_dim, window };
                attention(q, keys, values, &how)
            }
        }
    }
}

/// Where each token of a row goes: its place in the run, its block, and its place there.
fn places(row: &Placed) -> impl Iterator<Item = (usize, usize, usize)> {
    row.queries
        .clone()
        .zip(row.start..)
        .map(|(token, position)| (token, row.blocks[position / BLOCK], position % BLOCK))
}

/// The same in stretches: the first token's place in the run, their number, and the first one's among all
/// places.
fn stretches(row: &Placed) -> Vec<(usize, usize, usize)> {
    let mut stretches: Vec<(usize, usize, usize)> = Vec::new();
    for (token, block, place) in places(row) {
        match stretches.last_mut() {
            Some((_, count, _)) if place > 0 => *count += 1,
            _ => stretches.push((token, 1, block * BLOCK + place)),
        }
    }
    stretches
}

/// A row as the places of all its keys.
fn spans(row: &Placed) -> Row {
    let end = row.start + row.queries.len();
    let span =
        |(nth, block): (usize, &usize)| block * BLOCK..block * BLOCK + BLOCK.min(end - nth * BLOCK);
    let blocks = &row.blocks[..end.div_ceil(BLOCK)];
    Row { queries: row.queries.clone(), keys: blocks.iter().enumerate().map(span).collect() }
}

#[cfg(test)]
mod tests {
    use super::super::threads::within;
    use super::*;

    fn numbers(rows: usize, columns: usize, seed: usize) -> Tensor {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 700.0 - 1.4;
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap()
    }

    fn placed(queries: std::ops::Range<usize>, start: usize, blocks: &[usize]) -> Placed {
        Placed { queries, start, blocks: blocks.to_vec() }
    }

    /// Two sequences that share a block, run in parts, one of them twice over.
    fn run(cache: &mut Cache) -> Vec<f32> {
        let Heads { heads, kv_heads, dim } = cache.heads;
        let runs = [
            vec![placed(0..45, 0, &[2, 0]), placed(45..48, 0, &[3])],
            vec![placed(0..1, 45, &[2, 0]), placed(1..9, 32, &[2, 1]), placed(9..10, 3, &[3])],
        ];
        let mut all = Vec::new();
        for (nth, rows) in runs.into_iter().enumerate() {
            let tokens = rows.last().unwrap().queries.end;
            let [k, v] = [1, 2].map(|seed| numbers(tokens, kv_heads * dim, 3 * nth + seed));
            cache.reach(4);
            cache.keep(1, &k, &v, &rows).unwrap();
            let q = numbers(tokens, heads * dim, 3 * nth);
            let out = cache.attend(1, &q, &rows, &cache.rows(&rows)).unwrap();
            all.extend(out.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        }
        cache.copy(2, 3).unwrap();
        let rows = [placed(0..1, 20, &[3])];
        let out = cache.attend(1, &numbers(1, heads * dim, 9), &rows, &cache.rows(&rows)).unwrap();
        all.extend(out.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        all
    }

    #[test]
    fn attention_to_blocks_is_the_plain_one() {
        for (heads, kv_heads, dim) in [(4, 2, 6), (9, 3, 64), (2, 1, 40)] {
            for window in [None, Some(1), Some(37)] {
                let heads = Heads { heads, kv_heads, dim };
                let windows = vec![None, window];
                let kept = Kept::Blocks(Vec::new());
                let blocks = run(&mut Cache { kept, heads, windows: windows.clone() });
                let shape = (4 * BLOCK, kv_heads * dim);
                let make = || Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
                let kept = Kept::Tensors(vec![(make(), make()), (make(), make())]);
                let plain = run(&mut Cache { kept, heads, windows });
                assert_eq!(blocks.len(), plain.len());
                let apart = blocks.iter().zip(&plain).map(|(a, b)| (a - b).abs());
                let worst = apart.fold(0.0, f32::max);
                assert!(worst < 1e-5, "{heads:?}, {window:?}: {worst}");
            }
        }
    }

    #[test]
    fn texts_that_begin_alike_attend_as_each_would_alone() {
        let heads = Heads { heads: 9, kv_heads: 3, dim: 40 };
        let written = [
            placed(0..71, 0, &[0, 1, 2]),
            placed(71..83, 64, &[0, 1, 3]),
            placed(83..92, 32, &[0, 4]),
            placed(92..98, 0, &[5]),
        ];
        let asked = [
            placed(0..1, 70, &[0, 1, 2]),
            placed(1..2, 75, &[0, 1, 3]),
            placed(2..3, 63, &[0, 1]),
            placed(3..4, 40, &[0, 4]),
            placed(4..5, 41, &[0, 4]),
            placed(5..6, 5, &[5]),
        ];
        for window in [None, Some(1), Some(37)] {
            let kept = Kept::Blocks(Vec::new());
            let mut cache = Cache { kept, heads, windows: vec![window] };
            cache.reach(6);
            let [k, v] = [1, 2].map(|seed| numbers(98, 3 * 40, seed));
            cache.keep(0, &k, &v, &written).unwrap();
            let q = numbers(asked.len(), 9 * 40, 3);
            let attend = |q: &Tensor, rows: &[Placed]| {
                let out = cache.attend(0, q, rows, &cache.rows(rows)).unwrap();
                out.to_vec2::<f32>().unwrap()
            };
            // On one thread, or every thread would want a row for itself.
            let together = within(1, || attend(&q, &asked)).unwrap();
            for (nth, row) in asked.iter().enumerate() {
                let alone = Placed { queries: 0..1, ..row.clone() };
                let alone = attend(&q.narrow(0, nth, 1).unwrap(), &[alone]);
                assert_eq!(together[nth], alone[0], "{window:?}, row {nth}");
            }
        }
    }
}
