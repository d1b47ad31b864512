//! Envoy's dynamic modules: the same core as a shared library, without a VM in between.
//!
//! [`abi`] declares Envoy's functions, [`calls`] and [`body`] wrap them, [`configuration`] loads what an operator wrote,
//! [`filter`] turns hooks into events of an [`crate::exchange::Exchange`], which asks [`around`], and carries out its steps,
//! [`lists`] fetches model lists, and [`hooks`] is what Envoy calls. All `unsafe` of the native module stands in this folder.
//!
//! A library can take Envoy down, as a VM can't: no panic leaves a hook (`docs/native.md`).

#![allow(unsafe_code)]

mod abi;
mod around;
mod body;
mod calls;
mod caught;
mod configuration;
#[cfg(test)]
mod fault_tests;
#[cfg(any(test, feature = "faults"))]
mod faults;
mod filter;
mod hooks;
mod lists;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
