//! Whatever leaves, its tokens are counted by its bytes alone, however it was cut and whenever somebody asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::telemetry::usage::{BYTES_A_TOKEN, Meter, Reading, Source};
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks};

fn run<'a>(operation: Operation, chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Reading> {
    let mut meter = Meter::default();
    meter.begin(operation);
    for chunk in chunks {
        meter.push(chunk);
        let _so_far = meter.reading();
    }
    meter.reading()
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    for operation in [Operation::ChatCompletions, Operation::Embeddings] {
        let whole = run(operation, [data]);
        assert_eq!(whole, run(operation, chunks(data)));
        assert_eq!(whole, run(operation, data.chunks(1)));
        let Some(reading) = whole else { continue };
        assert_eq!(Reading::read(reading.to_string().as_bytes()), Some(reading));
        let counts = reading.counts(0);
        if counts.source == Source::Upstream {
            assert!(counts.total >= counts.input.saturating_add(counts.output));
        } else if reading.input.is_none()
            && !data
                .to_ascii_lowercase()
                .windows(5)
                .any(|five| five == b"token" || five == b"count")
        {
            // More text than bytes there can't be, but for names that are escaped.
            assert!(
                counts.output <= data.len() as u64 / BYTES_A_TOKEN + 1 || data.contains(&b'\\')
            );
        }
    }
});
