//! A start that teaches: a first experiment, what every field means, and manual pages.

mod init;
mod manual;
mod schema;
