//! The broker through its public door. One binary, so that it links once.

mod commits;
mod delivery;
mod fixture;
mod homes;
mod order;
mod publishing;
mod requests;
mod slow;
mod start;
mod truth;
