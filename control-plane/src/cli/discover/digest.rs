//! What a candidate was made from, by digest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use emac_compile::model::{EvidenceRef, EvidenceSource};
use emac_document::hex;

/// Each path with the SHA-256 of its bytes; of a folder, of every file below in the order of their names. What cannot be read is the reader's to say.
pub(super) fn of(paths: &[PathBuf]) -> Vec<EvidenceRef> {
    let reference = |path: &PathBuf| {
        let mut hash = Sha256::new();
        add(path, &mut hash).ok()?;
        let digest = hex(&hash.finalize());
        Some(EvidenceRef { name: path.display().to_string(), source: EvidenceSource::Traces, digest })
    };
    paths.iter().filter_map(reference).collect()
}

fn add(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    if path.is_dir() {
        let mut below: Vec<_> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        below.sort();
        return below.iter().try_for_each(|path| add(path, hash));
    }
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}
