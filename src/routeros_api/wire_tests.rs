//! The codec: published lengths, every split of the bytes, and peers that mean ill.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Limits;
use super::wire::{Decoder, Sentence, WireError, encode, encode_length};

/// Feeds the pieces one after another; all sentences that came out.
fn decode<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Sentence>, WireError> {
    let mut decoder = Decoder::new(limits);
    let mut out = Vec::new();
    for mut piece in pieces {
        while let Some(sentence) = decoder.decode(&mut piece)? {
            out.push(sentence);
        }
    }
    Ok(out)
}

fn encoded(sentences: &[Sentence]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sentence in sentences {
        encode(sentence, &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn lengths_are_written_as_the_manual_says() {
    // The boundaries of each form, and the lengths in the unit tests of librouteros and go-routeros.
    let rows: [(u32, &[u8]); 13] = [
        (0, &[0x00]),
        (1, &[0x01]),
        (127, &[0x7F]),
        (128, &[0x80, 0x80]),
        (130, &[0x80, 0x82]),
        (256, &[0x81, 0x00]),
        (16_383, &[0xBF, 0xFF]),
        (16_384, &[0xC0, 0x40, 0x00]),
        (2_097_140, &[0xDF, 0xFF, 0xF4]),
        (2_097_151, &[0xDF, 0xFF, 0xFF]),
        (2_097_152, &[0xE0, 0x20, 0x00, 0x00]),
        (268_435_440, &[0xEF, 0xFF, 0xFF, 0xF0]),
        (268_435_456, &[0xF0, 0x10, 0x00, 0x00, 0x00]),
    ];
    for (length, bytes) in rows {
        let mut out = Vec::new();
        encode_length(length, &mut out);
        assert_eq!(out, bytes, "{length}");
    }
}

#[test]
fn words_of_each_form_of_length_come_back_whole() {
    let limits = Limits { sentence: 8 << 20, ..Limits::default() };
    for length in [1, 127, 128, 256, 16_383, 16_384, 45_000, 2_097_151, 2_097_152] {
        let sentences = vec![vec![b"!re".to_vec(), vec![b'x'; length]]];
        let bytes = encoded(&sentences);
        assert_eq!(decode(limits, bytes.chunks(4096)).unwrap(), sentences, "{length}");
    }
}

#[test]
fn a_length_in_five_bytes_or_longer_than_needed_is_read_all_the_same() {
    for length in [&[0xF0, 0, 0, 0, 3][..], &[0xE0, 0, 0, 3], &[0xC0, 0, 3], &[0x80, 3], &[3]] {
        for end in [&[0][..], &[0x80, 0], &[0xC0, 0, 0]] {
            let bytes = [length, b"!re", end].concat();
            let sentences = decode(Limits::default(), bytes.chunks(1)).unwrap();
            assert_eq!(sentences, [[b"!re"]], "{bytes:x?}");
        }
    }
}

#[test]
fn empty_sentences_mean_nothing() {
    let bytes = [&[0, 0, 0][..], &encoded(&[vec![b"!done".to_vec()]]), &[0, 0x80, 0]].concat();
    assert_eq!(decode(Limits::default(), bytes.chunks(2)).unwrap(), [[b"!done"]]);
}

#[test]
fn no_length_begins_with_a_reserved_byte() {
    for first in 0xF1..=0xFF {
        assert_eq!(decode(Limits::default(), [&[first][..]]), Err(WireError::Reserved(first)));
    }
}

#[test]
fn what_is_too_long_is_refused_at_its_length_and_takes_no_memory() {
    let limits = Limits::default();
    assert_eq!(
        decode(limits, [&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF][..]]),
        Err(WireError::TooLong(limits.sentence))
    );
    // Words that are each short enough, and together are not.
    let half = vec![b'x'; limits.sentence / 2];
    let bytes = encoded(&[vec![half.clone(), half.clone(), half]]);
    assert_eq!(decode(limits, bytes.chunks(9999)), Err(WireError::TooLong(limits.sentence)));
    let many = encoded(&[vec![b"x".to_vec(); limits.words + 1]]);
    assert_eq!(decode(limits, bytes_of(&many)), Err(WireError::TooManyWords(limits.words)));
}

fn bytes_of(bytes: &[u8]) -> [&[u8]; 1] {
    [bytes]
}

#[test]
fn a_sentence_cut_anywhere_is_never_one() {
    let whole = encoded(&[vec![b"!re".to_vec(), b"=name=alice".to_vec(), vec![b'x'; 300]]]);
    for cut in 1..whole.len() {
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(decoder.decode(&mut &whole[..cut]).unwrap(), None, "{cut}");
        assert!(decoder.is_within(), "{cut}");
    }
}

proptest! {
    #[test]
    fn sentences_come_back_however_their_bytes_are_split(
        sentences in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..6), 0..6),
        cuts in proptest::collection::vec(0_usize..2000, 0..20),
    ) {
        let bytes = encoded(&sentences);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
        prop_assert_eq!(decode(Limits::default(), pieces).unwrap(), sentences);
    }
}

/// Random bytes from a seed, so that a failure can be played again (Marsaglia's xorshift).
pub(super) struct Noise(pub u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn random_bytes_never_panic_nor_take_more_than_the_limits() {
    let limits = Limits { sentence: 4096, words: 64, ..Limits::default() };
    let began = Instant::now();
    for seed in 1.. {
        if began.elapsed() > Duration::from_secs(1) {
            break;
        }
        let mut noise = Noise(seed);
        let mut bytes: Vec<u8> = (0..512).map(|_| noise.next().to_be_bytes()[3]).collect();
        if seed % 2 == 0 {
            bytes.iter_mut().for_each(|byte| *byte &= 0x8F); // mostly lengths that begin something
        }
        let mut decoder = Decoder::new(limits);
        let mut rest = &bytes[..];
        while let Ok(Some(sentence)) = decoder.decode(&mut rest) {
            assert!(!sentence.is_empty() && sentence.len() <= limits.words, "seed {seed}");
            assert!(sentence.iter().map(Vec::len).sum::<usize>() <= limits.sentence, "seed {seed}");
        }
    }
}
