//! Golden images: what is read is written in one way, and read as the same image again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::image::{Compiled, GoldenImage, diff, lint, merge};

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = GoldenImage::parse_bytes(bytes) else { return };
    let text = image.to_text();
    let again = GoldenImage::parse(&text).expect("what was written can be read");
    assert_eq!(again, image);
    assert_eq!(again.to_text(), text);
    assert!(diff(&image, &again).is_empty());
    let merged = merge(&[image.clone(), again]).expect("an image does not contradict itself");
    assert!(diff(&image, &merged).len() <= image.runtime.as_ref().map_or(0, |runtime| runtime.digests.len()));
    let _ = lint(&image);
    let _ = Compiled::new(image);
});
