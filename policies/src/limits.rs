//! The most that a bundle may hold. A bundle that holds more is refused, with the file named.

/// Files of a bundle: policies, tests and data together.
pub const FILES: usize = 1_000;
/// Entries of one folder, whatever they are.
pub const FOLDER_ENTRIES: usize = 10_000;
/// Folders in folders.
pub const DEPTH: usize = 16;
/// One file, in bytes.
pub const FILE_BYTES: usize = 1024 * 1024;
/// All files together, in bytes.
pub const BUNDLE_BYTES: usize = 16 * 1024 * 1024;
/// A path inside a bundle, in bytes.
pub const PATH_BYTES: usize = 512;
/// A packed bundle, in bytes.
pub const ARCHIVE_BYTES: usize = 8 * 1024 * 1024;
/// How many times its own bytes a packed bundle may unpack to.
pub const COMPRESSION_RATIO: usize = 100;
/// What a packed bundle may unpack to, however small it is, in bytes.
pub const UNPACKED_ANYWAY: usize = 1024 * 1024;
