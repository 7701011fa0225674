//! Which servers share an address space, and in which order the homes start.
//!
//! A server starts after those that it calls, so that nobody waits for one that waits for him.

use crate::components::{Home, Needed, PERSONALITIES, Server};

/// Name of the home in the kernel.
pub const KERNEL: &str = "kernel_home";

/// Longest name of a home, in bytes: what start-up blocks hold, and a zero.
const NAME_BYTES: usize = 23;

/// An address space with the servers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its name in the image: the server's own if it lives alone.
    pub name: String,
    /// What kind of home it is.
    pub home: Home,
    /// Names of the servers in it, in starting order.
    pub servers: Vec<&'static str>,
}

impl Shared {
    /// Whether it is started by the first call to it: all servers in it are there for the personality
    /// alone. One that the manifest names for its own sake may do something that nobody calls for.
    #[must_use]
    pub fn is_on_call(&self) -> bool {
        let mut servers = self.servers.iter();
        self.home != Home::Kernel
            && servers.all(|name| {
                Server::from_name(name).is_some_and(|one| one.needed != Needed::WhenNamed)
            })
    }
}

/// A server that cannot live where the manifest puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// Which.
    pub server: &'static str,
    /// Why not.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether `name` can name a shared home.
///
/// # Errors
/// What to do if it cannot.
pub fn shared_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(plain) {
        return Err(format!(
            "use up to {NAME_BYTES} lower-case letters, digits and `_`"
        ));
    }
    let taken = Server::from_name(name).is_some()
        || PERSONALITIES.iter().any(|one| one.name == name)
        || ["kernel", KERNEL].contains(&name);
    if taken {
        return Err("a component has this name: choose another".to_owned());
    }
    Ok(())
}

/// The name of the home of `server`.
fn home_name(server: &Server, home: &Home) -> String {
    match home {
        Home::Own => server.name.to_owned(),
        Home::Shared(name) => name.clone(),
        Home::Kernel => KERNEL.to_owned(),
    }
}

/// The homes of these servers, in starting order.
///
/// Where servers of two homes call each other both ways, their order is that of the catalogue.
#[must_use]
pub fn homes(servers: &[(&'static Server, Home)], writable_root: bool) -> Vec<Shared> {
    let mut homes: Vec<Shared> = Vec::new();
    let name_of = |wanted: &str| {
        let mut all = servers.iter();
        let (server, home) = all.find(|(server, _)| server.name == wanted)?;
        Some(home_name(server, home))
    };
    for (server, home) in in_order(servers, |(server, _)| {
        let called = server.calls(writable_root);
        called
            .filter_map(|name| servers.iter().position(|(other, _)| other.name == name))
            .collect()
    }) {
        let name = home_name(server, home);
        match homes.iter_mut().find(|other| other.name == name) {
            Some(shared) => shared.servers.push(server.name),
            None => homes.push(Shared {
                name,
                home: home.clone(),
                servers: vec![server.name],
            }),
        }
    }
    let mut ordered: Vec<Shared> = in_order(&homes, |home| {
        let members = home
            .servers
            .iter()
            .filter_map(|name| Server::from_name(name));
        let called = members.flat_map(|server| server.calls(writable_root));
        let called = called.filter_map(name_of).filter(|name| *name != home.name);
        called
            .filter_map(|name| homes.iter().position(|other| other.name == name))
            .collect()
    })
    .into_iter()
    .cloned()
    .collect();
    // The kernel is there first, and what lives in it waits for nobody outside.
    ordered.sort_by_key(|home| home.home != Home::Kernel);
    ordered
}

/// `items` so that each comes after those that `after` names by their places, if that can be.
fn in_order<T>(items: &[T], after: impl Fn(&T) -> Vec<usize>) -> Vec<&T> {
    let mut left: Vec<usize> = (0..items.len()).collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let ready = left.iter().position(|place| {
            let waits_for = items.get(*place).map(&after).unwrap_or_default();
            !waits_for
                .iter()
                .any(|other| other != place && left.contains(other))
        });
        let place = left.remove(ready.unwrap_or(0));
        ordered.extend(items.get(place));
    }
    ordered
}

/// The servers that cannot live where they are put: those in the kernel that call one outside, or do what
/// cannot be done there.
#[must_use]
pub fn misplaced(servers: &[(&'static Server, Home)], writable_root: bool) -> Vec<Misplaced> {
    let inside = servers.iter().filter(|(_, home)| *home == Home::Kernel);
    let unable = inside.clone().filter_map(|(server, _)| {
        let does = server.outside?;
        Some(Misplaced {
            server: server.name,
            message: format!(
                "`{}` cannot live in the kernel: it {does}, and there are no threads and no waiting",
                server.name
            ),
            remedy: "give it the home \"own\", or \"shared:NAME\" to share one with others".to_owned(),
        })
    });
    let calls = inside.flat_map(|(server, _)| {
        server
            .calls(writable_root)
            .map(|called| (server.name, called))
    });
    let calls = calls
        .filter(|(_, called)| {
            let home = servers.iter().find(|(server, _)| server.name == *called);
            home.is_some_and(|(_, home)| *home != Home::Kernel)
        })
        .map(|(server, called)| Misplaced {
            server,
            message: format!(
                "`{server}` cannot live in the kernel: it calls `{called}`, which lives outside, and \
                 the kernel waits for no process"
            ),
            remedy: format!(
                "give `{called}` the home \"kernel\" too, or `{server}` one outside the kernel"
            ),
        });
    unable.chain(calls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(given: &[(&str, Home)]) -> Vec<(String, Vec<&'static str>)> {
        let servers: Vec<_> = given
            .iter()
            .map(|(name, home)| (Server::from_name(name).unwrap(), home.clone()))
            .collect();
        let homes = homes(&servers, true).into_iter();
        homes.map(|home| (home.name, home.servers)).collect()
    }

    #[test]
    fn who_is_called_starts_first() {
        let shared = || Home::Shared("files".to_owned());
        let apart = planned(&[
            ("name_space", shared()),
            ("image_root", Home::Own),
            ("memory_fs", shared()),
        ]);
        let expected = [
            ("image_root".to_owned(), vec!["image_root"]),
            ("files".to_owned(), vec!["name_space", "memory_fs"]),
        ];
        assert_eq!(apart, expected);
        let together = planned(&[("memory_fs", shared()), ("image_root", shared())]);
        assert_eq!(
            together,
            [("files".to_owned(), vec!["image_root", "memory_fs"])]
        );
        let inside = planned(&[
            ("name_space", Home::Own),
            ("image_root", Home::Kernel),
            ("memory_fs", Home::Kernel),
        ]);
        let expected = [
            (KERNEL.to_owned(), vec!["image_root", "memory_fs"]),
            ("name_space".to_owned(), vec!["name_space"]),
        ];
        assert_eq!(inside, expected);
    }

    #[test]
    fn those_who_wait_for_each_other_are_started_nevertheless() {
        let waits = in_order(&[0, 1, 2], |item| vec![(item + 1) % 3]);
        assert_eq!(waits.len(), 3);
    }
}
