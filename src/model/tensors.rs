//! safetensors files: which tensors lie where, and the way in and out, one tensor at a time. No file is
//! ever held whole in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo, View};

use super::error::Error;
use super::located::Form;
pub(super) use super::located::Located;
use super::mapped::Mapped;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its type, in the spelling of safetensors.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first byte within the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl StoredTensor {
    fn new(name: String, info: &TensorInfo, first: u64) -> Self {
        let (start, end) = info.data_offsets;
        Self {
            name,
            dtype: info.dtype.to_string(),
            shape: info.shape.clone(),
            offset: first + start as u64,
            bytes: (end - start) as u64,
        }
    }
}

/// Called with each tensor that was written and its bytes, in the order in which they lie.
pub type Wrote<'w> = dyn FnMut(StoredTensor, &[u8]) + 'w;

/// A tensor to write. Its bytes are made when they are wanted.
pub(crate) struct Pending<'t> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Box<dyn FnOnce() -> Result<Vec<u8>, Error> + 't>,
}

impl<'t> Pending<'t> {
    /// A tensor of this name, type and shape, as `make` gives it.
    pub(crate) fn new<E>(
        name: String,
        (dtype, shape): (candle_core::DType, &[usize]),
        make: impl FnOnce() -> Result<Tensor, E> + 't,
    ) -> Self
    where
        Error: From<E>,
    {
        let bytes = move || {
            let tensor = make()?.to_device(&Device::Cpu)?.contiguous()?;
            Ok(View::data(&tensor).into_owned())
        };
        Self { name, dtype: dtype.into(), shape: shape.to_vec(), bytes: Box::new(bytes) }
    }

    fn length(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Writes tensors as one safetensors file, to the byte as `safetensors::serialize` does.
pub(crate) fn write_tensors(
    mut tensors: Vec<Pending<'_>>,
    to: &mut dyn Write,
    wrote: &mut Wrote<'_>,
) -> Result<(), Error> {
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let mut end = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    for tensor in &tensors {
        let start = end;
        end += tensor.length();
        let (dtype, shape) = (tensor.dtype, tensor.shape.clone());
        infos.push((tensor.name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
    }
    let header = header(&infos).map_err(Error::WriteWeights)?;
    to.write_all(&header).map_err(Error::WriteWeights)?;
    for (tensor, (name, info)) in tensors.into_iter().zip(infos) {
        let bytes = (tensor.bytes)()?;
        let stored = StoredTensor::new(name, &info, header.len() as u64);
        if bytes.len() as u64 != stored.bytes {
            let what = format!("`{}` has {} bytes, not {}", stored.name, bytes.len(), stored.bytes);
            return Err(Error::WriteWeights(io::Error::other(what)));
        }
        to.write_all(&bytes).map_err(Error::WriteWeights)?;
        wrote(stored, &bytes);
    }
    Ok(())
}

/// The bytes before the first tensor: their number, then JSON, filled up with spaces.
fn header(infos: &[(String, TensorInfo)]) -> io::Result<Vec<u8>> {
    const ALIGNMENT: usize = 8;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos.to_vec()).map_err(io::Error::other)?;
    let mut json = serde_json::to_vec(&metadata)?;
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}

/// Copies a safetensors file, and calls `wrote` with each of its tensors on the way.
///
/// # Errors
/// Where the file is damaged, or cannot be read or written.
pub fn copy(path: &Path, to: &mut dyn Write, wrote: &mut Wrote<'_>) -> Result<(), Error> {
    let tensors = list(path)?;
    let unread = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    let mut pass_on = |bytes: u64, to: &mut dyn Write| -> Result<Vec<u8>, Error> {
        let mut passed = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read_exact(&mut passed).map_err(unread)?;
        to.write_all(&passed).map_err(Error::WriteWeights)?;
        Ok(passed)
    };
    pass_on(tensors.first().map_or(length, |first| first.offset), to)?;
    for tensor in tensors {
        let bytes = pass_on(tensor.bytes, to)?;
        wrote(tensor, &bytes);
    }
    Ok(())
}

/// Lists the tensors of a safetensors file, in the order in which they lie.
///
/// # Errors
/// Where the file is damaged.
pub fn list(path: &Path) -> Result<Vec<StoredTensor>, Error> {
    let (header, first) = read_header(&*Mapped::open(path)?)?;
    let stored = |(name, info): (String, &TensorInfo)| StoredTensor::new(name, info, first as u64);
    let mut tensors: Vec<StoredTensor> = header.tensors().into_iter().map(stored).collect();
    tensors.sort_by(|a, b| (a.offset, a.bytes, &a.name).cmp(&(b.offset, b.bytes, &b.name)));
    Ok(tensors)
}

/// Longest header that is read, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads a file's header, and tells the first byte after it: no tensor may overlap another, leave a gap, or end
/// past the file.
fn read_header(file: &Mapped) -> Result<(Metadata, usize), Error> {
    let damaged = |reason: String| Error::Weights { path: file.path().to_owned(), reason };
    let (bytes, length) = (file.bytes(), file.bytes().len() as u64);
    let Some((size, rest)) = bytes.split_first_chunk() else {
        return Err(damaged("it has no header".to_owned()));
    };
    let size = u64::from_le_bytes(*size);
    let header = usize::try_from(size).ok().filter(|_| size <= LONGEST_HEADER);
    let Some(header) = header.and_then(|size| rest.get(..size)) else {
        return Err(damaged(format!("a header of {size} bytes in a file of {length}")));
    };
    let first = size_of::<u64>() + header.len();
    let header: Metadata = serde_json::from_slice(header).map_err(|e| damaged(e.to_string()))?;
    let end = (first + header.data_len()) as u64;
    if end != length {
        return Err(damaged(format!("its header speaks of {end} bytes, the file has {length}")));
    }
    Ok((header, first))
}

/// Finds the tensors of a safetensors file.
pub(super) fn contents(path: &Path) -> Result<Vec<(String, Located)>, Error> {
    let file = Mapped::open(path)?;
    let (header, first) = read_header(&file)?;
    let located = |(name, info): (String, &TensorInfo)| {
        let (start, end) = info.data_offsets;
        let (shape, form) = (info.shape.clone(), Form::Plain(info.dtype));
        let range = first + start..first + end;
        (name.clone(), Located::new(file.clone(), name, shape, form, range))
    };
    Ok(header.tensors().into_iter().map(located).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<(String, Tensor)> {
        let tensor = |numbers: &[f32], shape: &[usize]| {
            Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
        };
        vec![
            ("b".to_owned(), tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).t().unwrap()),
            ("step".to_owned(), Tensor::new(&[7_i64], &Device::Cpu).unwrap()),
            ("a".to_owned(), tensor(&[0.5], &[1])),
            ("run".to_owned(), Tensor::new(&[1_u8, 2, 3], &Device::Cpu).unwrap()),
            ("none".to_owned(), tensor(&[], &[0])),
        ]
    }

    #[test]
    fn tensors_written_one_by_one_are_those_of_the_library_to_the_byte() {
        let pending = some().into_iter().map(|(name, tensor)| {
            let (dtype, shape) = (tensor.dtype(), tensor.dims().to_vec());
            Pending::new(name, (dtype, &shape), || Ok::<_, Error>(tensor))
        });
        let (mut written, mut tensors) = (Vec::new(), Vec::new());
        write_tensors(pending.collect(), &mut written, &mut |stored, bytes| {
            tensors.push((stored, bytes.to_vec()));
        })
        .unwrap();
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let plain = some().into_iter().map(|(name, t)| (name, t.contiguous().unwrap()));
        let expected = safetensors::serialize(plain.collect::<Vec<_>>(), Some(format)).unwrap();
        assert!(written == expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        std::fs::write(&path, &written).unwrap();
        let listed = list(&path).unwrap();
        assert_eq!(tensors.iter().map(|(stored, _)| stored.clone()).collect::<Vec<_>>(), listed);
        for (stored, bytes) in &tensors {
            let start = usize::try_from(stored.offset).unwrap();
            assert_eq!(&written[start..start + bytes.len()], bytes, "{}", stored.name);
        }
        let (mut copied, mut passed) = (Vec::new(), Vec::new());
        copy(&path, &mut copied, &mut |stored, bytes| passed.push((stored, bytes.to_vec())))
            .unwrap();
        assert!(copied == written);
        assert_eq!(passed, tensors);
    }
}
