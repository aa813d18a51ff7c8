//! The broker through its public door. One binary, so that it links once.

mod delivery;
mod fixture;
mod order;
mod publishing;
mod requests;
mod slow;
mod start;
mod truth;
