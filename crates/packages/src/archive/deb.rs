//! `.deb`: an ar archive of `debian-binary`, `control.tar` and `data.tar` (deb(5)).

use std::io::{self, Read};

use super::ar::{self, ArError};
use super::tar::{self, Kind, TarError};
use super::{Compression, fill};
use crate::contents::{Collector, Contents, ContentsRejected};
use crate::control::{ControlError, stanzas};
use crate::digest::Algorithms;
use crate::limits::{Limits, MAX_CONTROL_LEN, MAX_CONTROL_TAR_LEN};
use crate::package::{InvalidPackageId, PackageId};

/// Why a `.deb` is refused.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It is no ar archive.
    #[error(transparent)]
    Ar(#[from] ArError),
    /// Its members are not those of a `.deb`, in their order.
    #[error("the member '{found}' is where {expected} should be")]
    Member {
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// It ends before all its members.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// Its format is none that is known.
    #[error("its format is not 2.x")]
    Format,
    /// `control.tar` is no tar archive.
    #[error("control.tar is refused")]
    Control(#[source] TarError),
    /// `control` is missing or cannot be read.
    #[error("there is no control file of at most {MAX_CONTROL_LEN} bytes of UTF-8 in control.tar")]
    NoControl,
    /// `control` is no paragraph of fields.
    #[error("the control file is refused")]
    Fields(#[from] ControlError),
    /// `control` lacks a field.
    #[error("the control file has no field {0}")]
    NoField(&'static str),
    /// `control` names no package.
    #[error("the control file names no package")]
    Id(#[from] InvalidPackageId),
    /// `data.tar` is no tar archive.
    #[error("data.tar is refused")]
    Data(#[source] TarError),
    /// What it ships is refused.
    #[error(transparent)]
    Contents(#[from] ContentsRejected),
}

/// A `.deb` whose `control` was read. What it ships comes next.
pub struct Deb<R> {
    id: PackageId,
    members: ar::Archive<R>,
}

impl<R: Read> Deb<R> {
    /// Reads `control`.
    ///
    /// # Errors
    /// When it is no `.deb`.
    pub fn open(source: R) -> Result<Self, DebError> {
        let mut members = ar::Archive::open(source)?;
        let first = members.next()?.ok_or(DebError::Missing("debian-binary"))?;
        if first.name != "debian-binary" {
            return Err(DebError::Member { found: first.name, expected: "debian-binary" });
        }
        check_format(&mut members)?;
        let compression = find(&mut members, "control.tar")?;
        let id = read_control(compression.decode(&mut members, MAX_CONTROL_TAR_LEN))?;
        Ok(Self { id, members })
    }

    /// What it calls itself.
    pub fn id(&self) -> &PackageId {
        &self.id
    }

    /// Hashes every file that it ships.
    ///
    /// # Errors
    /// When it is no `.deb`, or ships what is refused.
    pub fn read(mut self, algorithms: &Algorithms, limits: Limits) -> Result<Contents, DebError> {
        let compression = find(&mut self.members, "data.tar")?;
        // Headers and padding come on top of the content, which the collector counts: 2 KiB for each with a long name.
        let headers = super::wide(limits.files).saturating_add(16).saturating_mul(2048);
        let max_len = limits.unpacked_len.saturating_add(headers);
        let mut archive = tar::Archive::new(compression.decode(&mut self.members, max_len));
        let mut collector = Collector::new(algorithms, limits);
        while let Some(entry) = archive.next().map_err(DebError::Data)? {
            match entry.kind {
                Kind::File => {
                    collector.file(&entry.path, entry.mode, entry.size, &mut archive)?;
                }
                Kind::HardLink(target) => collector.hard_link(&entry.path, &target)?,
                Kind::Folder => collector.folder(&entry.path)?,
                Kind::Other => collector.other(&entry.path)?,
            }
        }
        drop(archive);
        while let Some(member) = self.members.next()? {
            // Signatures of some tools come last; a second data.tar would be another content.
            if !member.name.starts_with('_') {
                return Err(DebError::Member { found: member.name, expected: "the end" });
            }
        }
        Ok(collector.finish()?)
    }
}

/// `2.` and a minor version, which says nothing that matters (deb(5)).
fn check_format<R: Read>(members: &mut ar::Archive<R>) -> Result<(), DebError> {
    let mut format = [0; 4];
    fill(members, &mut format).map_err(|error| DebError::Ar(ArError::Read(error)))?;
    if format.starts_with(b"2.") { Ok(()) } else { Err(DebError::Format) }
}

/// The compression of the member with this name, past those that readers are to ignore.
fn find<R: Read>(members: &mut ar::Archive<R>, expected: &'static str) -> Result<Compression, DebError> {
    loop {
        let member = members.next()?.ok_or(DebError::Missing(expected))?;
        if member.name.starts_with('_') {
            continue;
        }
        let compression = member.name.strip_prefix(expected).and_then(Compression::from_extension);
        return compression.ok_or(DebError::Member { found: member.name, expected });
    }
}

fn read_control(source: impl Read) -> Result<PackageId, DebError> {
    let mut archive = tar::Archive::new(source);
    let mut control = None;
    while let Some(entry) = archive.next().map_err(DebError::Control)? {
        if entry.kind == Kind::File && matches!(entry.path.as_slice(), b"./control" | b"control") {
            if control.is_some() || entry.size > MAX_CONTROL_LEN {
                return Err(DebError::NoControl);
            }
            let mut text = String::new();
            archive.read_to_string(&mut text).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => DebError::NoControl,
                _ => DebError::Control(TarError::Read { offset: 0, source: error }),
            })?;
            control = Some(text);
        }
    }
    let text = control.ok_or(DebError::NoControl)?;
    let stanza = stanzas(&text).next().ok_or(DebError::NoControl)??;
    let field = |name| stanza.get(name).ok_or(DebError::NoField(name));
    Ok(PackageId::new(field("Package")?, field("Version")?, field("Architecture")?)?)
}
