//! The journeys of users, over the spawned program: what `README.md` promises, and what bad input must not do.

mod approve;
mod bad_input;
mod cli;
mod context;
mod contract;
mod durable;
mod events;
mod fanout;
mod files;
mod languages;
mod load;
mod metrics;
mod lock;
mod misbehaving;
mod neighbours;
mod pages;
mod plugins;
mod protocol;
mod reload;
mod rest;
mod restart;
mod security;
mod site;
mod terminals;
mod tokens;
mod values;
