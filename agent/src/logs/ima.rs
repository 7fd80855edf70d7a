//! The IMA list. It grows for as long as the host is up, may become very long, and is read in parts.
//!
//! The kernel makes its bytes up while they are read (a `seq_file`): a read gives a page at most and begins by counting
//! through all entries before it, so that reading a long list from its beginning costs the square of its length. Seeking
//! counts once. Therefore a part is sought, unless it begins where the last one ended; within a part the file is read on.
//! The list is only ever appended to, so a place in it stays the same place for one boot, in every descriptor.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{DeflateError, Deflated};

use super::{LogError, open};

/// How much is read at once, in bytes: all that is ever held of the list uncompressed.
pub const BLOCK: usize = 16 * 1024;

/// An open IMA list.
#[derive(Debug)]
pub struct ImaList<R> {
    reader: BufReader<R>,
    /// Where the next byte of the reader is from, if that is known.
    at: Option<u64>,
    path: PathBuf,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPart {
    /// The bytes, compressed.
    pub log: Deflated<{ limits::IMA_PART_COMPRESSED }>,
    /// How many they are.
    pub len: u64,
    /// Whether the list goes on behind them.
    pub more: bool,
}

impl ImaList<File> {
    /// Opens the list.
    ///
    /// # Errors
    /// When there is none, or it may not be opened.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self::new(open(path)?, path))
    }
}

impl<R: Read + Seek> ImaList<R> {
    /// A list that is read from somewhere; `path` is its name in errors.
    pub fn new(source: R, path: &Path) -> Self {
        Self { reader: BufReader::with_capacity(BLOCK, source), at: Some(0), path: path.to_owned() }
    }

    /// The part that begins at an offset: all there is, up to the most that may travel at once. Behind the end there is
    /// an empty one.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn part(&mut self, from: u64) -> Result<ListPart, LogError> {
        let failed = |source| LogError::Read { path: self.path.clone(), source };
        // Until all of this has succeeded, nobody knows where the reader is.
        if self.at.take() != Some(from) {
            self.reader.seek(SeekFrom::Start(from)).map_err(failed)?;
        }
        let most = u64::try_from(limits::IMA_PART).unwrap_or(u64::MAX);
        let mut source = self.reader.by_ref().take(most);
        let log = Deflated::of_source(&mut source).map_err(|error| match error {
            DeflateError::Source(source) => failed(source),
            DeflateError::TooLong(_) => {
                LogError::TooLong { path: self.path.clone(), max: limits::IMA_PART_COMPRESSED, compressed: true }
            }
        })?;
        let len = most - source.limit();
        let more = len == most && !self.reader.fill_buf().map_err(failed)?.is_empty();
        self.at = from.checked_add(len);
        Ok(ListPart { log, len, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Cursor};

    const PART: u64 = limits::IMA_PART as u64;

    /// A list made up while it is read: every byte follows from its place. It notes how it is read.
    #[derive(Default)]
    struct MadeUp {
        len: u64,
        at: u64,
        seeks: u64,
        read: u64,
        largest_read: usize,
    }

    /// Bytes that hardly shrink, as the digests of a list.
    fn byte_at(place: u64) -> u8 {
        let mixed = (place ^ (place >> 7)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()[0]
    }

    impl Read for MadeUp {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.largest_read = self.largest_read.max(buffer.len());
            // A page at a time, as a seq_file does.
            let len = usize::try_from(self.len.saturating_sub(self.at)).unwrap().min(buffer.len()).min(4096);
            for (place, byte) in (self.at..).zip(&mut buffer[..len]) {
                *byte = byte_at(place);
            }
            self.at += len as u64;
            self.read += len as u64;
            Ok(len)
        }
    }

    impl Seek for MadeUp {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let SeekFrom::Start(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
            self.seeks += 1;
            self.at = to;
            Ok(to)
        }
    }

    fn list(len: u64) -> ImaList<MadeUp> {
        ImaList::new(MadeUp { len, ..MadeUp::default() }, Path::new("/list"))
    }

    fn bytes(part: &ListPart) -> Vec<u8> {
        part.log.inflate(limits::IMA_PART).unwrap()
    }

    #[test]
    fn a_part_is_as_long_as_the_limit_and_not_one_byte_longer() {
        for (len, first, more) in
            [(0, 0, false), (PART - 1, PART - 1, false), (PART, PART, false), (PART + 1, PART, true)]
        {
            let mut list = list(len);
            let part = list.part(0).unwrap();
            assert_eq!((part.len, part.more), (first, more), "{len}");
            assert_eq!(bytes(&part).len() as u64, first);
            let rest = list.part(first).unwrap();
            assert_eq!((rest.len, rest.more), (len - first, false), "{len}");
        }
    }

    #[test]
    fn noise_fits_into_a_part() {
        let part = list(2 * PART).part(0).unwrap();
        let len = part.log.compressed_len();
        assert!(len > limits::IMA_PART / 2 && len <= limits::IMA_PART_COMPRESSED, "{len}");
    }

    #[test]
    fn a_long_list_is_read_once_in_blocks_and_its_end_without_its_beginning() {
        // The sources of a part are its reader's block and what comes out of the compressor: nothing else holds bytes.
        let mut list = list(3 * PART + 17);
        let (mut at, mut parts) = (0, 0);
        loop {
            let part = list.part(at).unwrap();
            assert!(part.log.compressed_len() <= limits::IMA_PART_COMPRESSED);
            (at, parts) = (at + part.len, parts + 1);
            if !part.more {
                break;
            }
        }
        assert_eq!((at, parts), (3 * PART + 17, 4));
        let source = list.reader.get_ref();
        assert_eq!((source.read, source.seeks), (at, 0));
        assert!(source.largest_read <= BLOCK, "{}", source.largest_read);
        assert_eq!(list.reader.capacity(), BLOCK);
        // The last bytes of a list of a hundred megabytes cost no more than they are.
        let mut long = super::tests::list(100 * 1024 * 1024 + 5);
        assert_eq!(long.part(100 * 1024 * 1024).unwrap().len, 5);
        assert_eq!((long.reader.get_ref().read, long.reader.get_ref().seeks), (5, 1));
    }

    #[test]
    fn parts_begin_anywhere_forwards_and_backwards() {
        let mut list = list(PART + 5000);
        for from in [7, PART, 4999, 0, PART + 4999, PART + 5000, PART + 9000, 3] {
            let part = list.part(from).unwrap();
            let expected = (from..(PART + 5000).max(from)).take(limits::IMA_PART).map(byte_at);
            assert!(bytes(&part).into_iter().eq(expected), "{from}");
        }
    }

    #[test]
    fn a_list_that_grows_is_read_on_where_it_ended() {
        let mut list = list(100);
        assert_eq!(list.part(0).unwrap().len, 100);
        list.reader.get_mut().len = 250;
        let grown = list.part(100).unwrap();
        assert_eq!(bytes(&grown), (100..250).map(byte_at).collect::<Vec<_>>());
        assert_eq!(list.part(0).unwrap().len, 250);
    }

    #[test]
    fn a_list_that_breaks_is_an_error_and_is_sought_anew() {
        struct Breaking(Cursor<Vec<u8>>, bool);
        impl Read for Breaking {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::take(&mut self.1) { Err(io::Error::other("it broke")) } else { self.0.read(buffer) }
            }
        }
        impl Seek for Breaking {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }
        let mut list = ImaList::new(Breaking(Cursor::new(b"0123456789".to_vec()), true), Path::new("/list"));
        let error = list.part(0).unwrap_err();
        assert_eq!(super::super::words(&error), "cannot read /list: it broke");
        assert_eq!(bytes(&list.part(4).unwrap()), b"456789");
        // No file is that long: the system refuses the offset.
        assert!(matches!(
            ImaList::open(Path::new("/proc/self/exe")).unwrap().part(u64::MAX),
            Err(LogError::Read { .. })
        ));
    }

    #[test]
    fn procfs_and_its_like_are_sought_as_files_are() {
        // Made up by the kernel as the IMA list is: a seq_file of size 0.
        let path = Path::new("/proc/self/maps");
        let whole = bytes(&ImaList::open(path).unwrap().part(0).unwrap());
        let later = bytes(&ImaList::open(path).unwrap().part(100).unwrap());
        // Memory may be mapped meanwhile; the program itself is mapped at the beginning.
        assert_eq!(later[..60], whole[100..160]);
        assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
    }
}
