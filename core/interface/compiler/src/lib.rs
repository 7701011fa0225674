//! The stub compiler: turns a decorated trait into stub, dispatch and test double
