//! The hooks under a stand-in for Envoy, which ends a stream from within its own functions. `make asan` runs this
//! under AddressSanitizer: on a real Envoy a write to freed memory may go unseen.

use std::ptr;

use super::abi::{BodyStatus, Map, Part, Slice};
use super::hooks::*;
use super::stand_in::*;

#[test]
fn an_edited_body_is_not_there_twice_where_envoy_holds_less() {
    let (config, stream) = asked(BODY);
    world(|world| world.limit = BODY.len() as u64);
    ENDS.set(stream); // if it outgrows that, for a moment
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!((status, ENDS.replace(ptr::null())), (BodyStatus::Continue, stream));
    assert_eq!(body(Part::RequestReceived), br#"{"model":"m","messages":[]}"#);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_body_that_outgrows_what_envoy_holds_ends_the_stream_within_the_hook() {
    let asked_for = br#"{"model":"a","messages":[]}"#;
    let (config, stream) = asked(asked_for);
    world(|world| world.limit = asked_for.len() as u64);
    ENDS.set(stream);
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!(status, BodyStatus::StopAndBuffer); // nothing goes on
    assert!(ENDS.get().is_null());
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

/// Envoy joins what is held and what has come, in this order, behind this filter.
fn goes_on() -> Vec<u8> {
    let held = world(|world| world.bodies.get(&(Part::RequestBuffered as u32)).cloned());
    [held.unwrap_or_default(), body(Part::RequestReceived)].concat()
}

#[test]
fn what_stands_behind_the_model_stays_where_it_is() {
    let rest = format!(r#"","x":"{}"}}"#, "x".repeat(10_000));
    let asked_for = [br#"{"model":"a"#, rest.as_bytes()].concat();
    let (config, stream) = asked(&asked_for);
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!(status, BodyStatus::Continue);
    assert_eq!(body(Part::RequestReceived), &rest.as_bytes()[1..]);
    assert_eq!(body(Part::RequestBuffered), br#"{"model":"much-longer""#);
    envoy_dynamic_module_on_http_filter_destroy(stream);

    // The model comes behind what is held, in another hook; with room for both, and without.
    let before = format!(r#"{{"y":"{}","model":"#, "y".repeat(8_000));
    let asked_for = [before.as_bytes(), br#""a"#, rest.as_bytes()].concat();
    for limit in [0, asked_for.len() as u64 + 50, before.len() as u64 + 50] {
        let stream = begin(config, &asked_for);
        let (held, come) = asked_for.split_at(before.len() - 3);
        let came_and_held = |held: &[u8], come: &[u8]| {
            world(|world| {
                world.limit = limit;
                world.bodies.insert(Part::RequestBuffered as u32, held.to_vec());
                world.bodies.insert(Part::RequestReceived as u32, come.to_vec());
            });
            envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, false)
        };
        assert_eq!(came_and_held(&[], held), BodyStatus::StopAndBuffer);
        ENDS.set(stream); // if more is held than may be, for a moment
        assert_eq!(came_and_held(held, come), BodyStatus::Continue);
        assert_eq!(ENDS.replace(ptr::null()), stream, "{limit}");
        let want = [before.as_bytes(), br#""much-longer"#, rest.as_bytes()].concat();
        assert_eq!(goes_on(), want);
        assert_eq!(body(Part::RequestReceived), &rest.as_bytes()[1..]);
        envoy_dynamic_module_on_http_filter_destroy(stream);
    }
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn what_another_filter_puts_behind_what_is_held_does_not_go_on_unread() {
    let (config, stream) = asked(BODY);
    let come = |held: &[u8], come: &[u8]| {
        world(|world| {
            world.bodies.insert(Part::RequestBuffered as u32, held.to_vec());
            world.bodies.insert(Part::RequestReceived as u32, come.to_vec());
        });
        envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, false)
    };
    assert_eq!(come(&[], &BODY[..5]), BodyStatus::StopAndBuffer);
    assert_eq!(come(br#"{"modunread"#, &BODY[5..]), BodyStatus::StopNoBuffer);
    assert_eq!(world(|world| world.replies.clone()), [500]);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

/// In the one buffer that all filters have: as a whole, and after this filter has held some of it.
#[test]
fn a_body_that_another_filter_has_held() {
    let asked_for = [br#"{"x":""#, &[b'x'; 10_000][..], br#"","model":"a"}"#].concat();
    let want = [br#"{"x":""#, &[b'x'; 10_000][..], br#"","model":"much-longer"}"#].concat();
    let (config, stream) = asked(&asked_for);
    world(|world| {
        world.is_one_buffer = true;
        world.bodies.insert(Part::RequestBuffered as u32, asked_for.clone());
    });
    let status = envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, true);
    assert_eq!((status, body(Part::RequestBuffered)), (BodyStatus::Continue, want.clone()));
    envoy_dynamic_module_on_http_filter_destroy(stream);

    let stream = begin(config, &asked_for);
    for come in [20, 5_000, asked_for.len()] {
        world(|world| {
            world.is_one_buffer = true;
            world.bodies.insert(Part::RequestBuffered as u32, asked_for[..come].to_vec());
        });
        envoy_dynamic_module_on_http_filter_request_body(ptr::null_mut(), stream, false);
    }
    assert_eq!(body(Part::RequestBuffered), want);
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn an_answer_from_within_a_hook_may_end_the_stream() {
    let (config, stream) = sent();
    world(|world| {
        world.cluster = "another";
        world.heads.insert(
            Map::Response as u32,
            head(&[(":status", "200"), ("content-type", "application/json")]),
        );
    });
    ENDS.set(stream);
    // The stream is freed when this hook is over, and neither before nor never (AddressSanitizer sees both).
    envoy_dynamic_module_on_http_filter_response_headers(ptr::null_mut(), stream, false);
    assert_eq!(world(|world| world.replies.clone()), [502]);
    assert!(ENDS.get().is_null());
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn an_answer_that_is_rewritten() {
    let (config, stream) = sent();
    let body = br#"{"error":{"message":"busy","code":429}}"#;
    world(|world| {
        world.cluster = "p";
        world.heads.insert(
            Map::Response as u32,
            head(&[(":status", "200"), ("content-type", "application/json")]),
        );
        world.bodies.insert(Part::ResponseReceived as u32, body[..9].to_vec());
    });
    let envoy = ptr::null_mut();
    envoy_dynamic_module_on_http_filter_response_headers(envoy, stream, false);
    envoy_dynamic_module_on_http_filter_response_body(envoy, stream, false);
    world(|world| {
        world.bodies.insert(Part::ResponseBuffered as u32, body[..9].to_vec());
        world.bodies.insert(Part::ResponseReceived as u32, body[9..].to_vec());
    });
    envoy_dynamic_module_on_http_filter_response_body(envoy, stream, true);
    let (status, sent) = world(|world| {
        let status = world.heads[&(Map::Response as u32)]
            .iter()
            .find(|(name, _)| name == b":status")
            .cloned();
        (status.unwrap().1, world.bodies[&(Part::ResponseReceived as u32)].clone())
    });
    assert_eq!(status, b"429");
    assert!(
        sent.starts_with(b"{\"error\":{")
            && world(|world| world.bodies[&(Part::ResponseBuffered as u32)].is_empty())
    );
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn what_is_held_of_an_answer_is_not_looked_at_again_and_again() {
    let (config, stream) = sent();
    let envoy = ptr::null_mut();
    world(|world| {
        world.cluster = "p";
        let fields = [(":status", "200"), ("content-type", "application/json")];
        world.heads.insert(Map::Response as u32, head(&fields));
    });
    envoy_dynamic_module_on_http_filter_response_headers(envoy, stream, false);
    let mut held = Vec::new();
    for piece in br#"{"error":{"message":"busy","code":429}}"#.chunks(3) {
        world(|world| {
            world.bodies.insert(Part::ResponseBuffered as u32, held.clone());
            world.bodies.insert(Part::ResponseReceived as u32, piece.to_vec());
            world.slices_asked_for = 0;
        });
        let status = envoy_dynamic_module_on_http_filter_response_body(envoy, stream, false);
        assert_eq!((status, world(|world| world.slices_asked_for)), (BodyStatus::StopAndBuffer, 1));
        held.extend_from_slice(piece);
    }
    envoy_dynamic_module_on_http_filter_destroy(stream);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}

#[test]
fn a_stream_that_could_not_be_made_is_answered() {
    world(|world| *world = World::default());
    let (envoy, none) = (ptr::null_mut(), ptr::null());
    envoy_dynamic_module_on_http_filter_request_headers(envoy, none, false);
    assert_eq!(world(|world| world.replies.clone()), [500]);
    envoy_dynamic_module_on_http_filter_response_headers(envoy, none, false);
    envoy_dynamic_module_on_http_filter_stream_complete(envoy, none);
    envoy_dynamic_module_on_http_filter_destroy(none);
    assert_eq!(world(|world| world.replies.len()), 1);
}

/// A filter between the two positions has cut the body.
#[test]
fn an_attempt_waits_for_what_it_edits() {
    let envoy = ptr::null_mut();
    let two = CONFIG.replacen('{', r#"{"routing":{"positions":2},"#, 1);
    let config = envoy_dynamic_module_on_http_filter_config_new(
        envoy,
        Slice::NONE,
        Slice::of(two.as_bytes()),
    );
    let asked_for = br#"{"messages":[],"model":"a"}"#;
    let listener = begin(config, asked_for);
    envoy_dynamic_module_on_http_filter_request_body(envoy, listener, true);
    assert_eq!(body(Part::RequestReceived), asked_for);

    let attempt = envoy_dynamic_module_on_http_filter_new(config, envoy);
    world(|world| (world.attempt, world.cluster) = (1, "p"));
    envoy_dynamic_module_on_http_filter_request_headers(envoy, attempt, false);
    let (mut held, mut pieces) = (Vec::new(), asked_for.chunks(4).peekable());
    while let Some(piece) = pieces.next() {
        world(|world| {
            world.bodies.insert(Part::RequestBuffered as u32, held.clone());
            world.bodies.insert(Part::RequestReceived as u32, piece.to_vec());
            world.slices_asked_for = 0;
        });
        let end = pieces.peek().is_none();
        let status = envoy_dynamic_module_on_http_filter_request_body(envoy, attempt, end);
        held.extend_from_slice(piece);
        let is_there = held.len() >= asked_for.len() - 1;
        let want = if is_there { BodyStatus::Continue } else { BodyStatus::StopAndBuffer };
        assert_eq!(status, want, "{}", held.len());
        if is_there {
            break;
        }
        // What is held is not looked at again and again.
        assert_eq!(world(|world| world.slices_asked_for), 1);
    }
    assert!(body(Part::RequestBuffered).is_empty());
    let sent = body(Part::RequestReceived);
    assert!(
        sent.starts_with(br#"{"messages":[],"model":"much-longer""#),
        "{}",
        String::from_utf8_lossy(&sent)
    );
    envoy_dynamic_module_on_http_filter_destroy(attempt);
    envoy_dynamic_module_on_http_filter_destroy(listener);
    envoy_dynamic_module_on_http_filter_config_destroy(config);
}
