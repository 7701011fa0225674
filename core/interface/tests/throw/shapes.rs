//! An interface with a method of each shape that the system's own do not have.

use kiln_interface::{Plain, Wire, interface};
use kiln_object::{Error, Handed};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain)]
#[repr(C)]
pub struct Point {
    pub across: i32,
    pub down: i32,
}

#[derive(Clone, Debug, PartialEq, Wire)]
pub enum Order {
    Stop,
    Go { fast: bool, way: Option<u16> },
}

#[interface(name = "test.shapes")]
pub trait Shapes {
    #[method(1, right = READ)]
    fn order(&self, order: Order) -> Result<Order, Error>;
    #[method(2, right = WRITE)]
    fn name(&self, #[bound(9)] name: &str, alias: &str) -> Result<(), Error>;
    #[method(3, right = WRITE)]
    fn draw(
        &self,
        title: &str,
        #[bound(5)] points: &[Point],
        at: &Point,
        raw: &[u8],
    ) -> Result<u64, Error>;
    #[method(4, right = READ)]
    fn find(&self, number: u8, point: &mut Point) -> Result<bool, Error>;
    #[method(5, right = READ)]
    fn list(&self, #[bound(4)] points: &mut [Point]) -> Result<usize, Error>;
    #[method(6, right = READ)]
    fn turn(
        &self,
        by: &[u8],
        #[in_out]
        #[bound(3)]
        points: &mut [Point],
    ) -> Result<usize, Error>;
    #[method(7, right = READ)]
    fn mirror(&self, #[in_out] point: &mut Point) -> Result<(), Error>;
    #[method(8, right = READ)]
    fn change(
        &self,
        #[in_out]
        #[bound(30)]
        bytes: &mut [u8],
    ) -> Result<(u64, u64), Error>;
    #[method(9, right = CONTROL)]
    fn listen(&self, #[hand(READ)] to: Handed<dyn Shapes>) -> Result<(), Error>;
    #[method(10, right = WRITE, oneway)]
    fn note(&self, order: Order) -> Result<(), Error>;
}
