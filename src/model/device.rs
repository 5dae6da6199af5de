//! Where numbers are computed: the one place that opens it.

use candle_core::Device;

use super::error::Error;

/// Opens `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// Where the name is none of these, this build has no such device, or the machine has none.
pub fn open_device(name: &str) -> Result<Device, Error> {
    let fail = |reason: String| Error::Device { name: name.to_owned(), reason };
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index: usize =
        index.parse().map_err(|_| fail(format!("`{index}` is not a device's number")))?;
    let opened = match kind {
        "cpu" => return Ok(Device::Cpu),
        "cuda" if !cfg!(feature = "cuda") => Err("this build is without the feature `cuda`"),
        "metal" if !cfg!(feature = "metal") => Err("this build is without the feature `metal`"),
        "cuda" => Ok(Device::new_cuda(index)),
        "metal" => Ok(Device::new_metal(index)),
        _ => Err("it is none of: cpu, cuda, cuda:N, metal"),
    };
    opened.map_err(|reason| fail(reason.to_owned()))?.map_err(|e| fail(e.to_string()))
}
