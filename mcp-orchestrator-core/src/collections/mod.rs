//! Collections that several tables are built on.

mod bounded_set;
mod sharded;

pub(crate) use self::bounded_set::BoundedSet;
pub(crate) use self::sharded::Sharded;
