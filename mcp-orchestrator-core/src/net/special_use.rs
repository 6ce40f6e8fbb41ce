//! Address ranges that are not part of the public internet, from IANA's special-purpose address registries.
//!
//! The guard of outbound requests and the NetworkPolicy of an instance both use this table, so that they agree on
//! what is public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not public.
const PRIVATE_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // A cloud's metadata service at a public address, which is reachable only from inside.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local addresses, including the metadata services of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved and broadcast addresses.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The only IPv6 range from which global addresses are allocated.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Ranges within [`GLOBAL_V6`] that are not public: Teredo, benchmarking and ORCHID, then documentation.
const PRIVATE_V6: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv6 ranges in which an IPv4 address follows the prefix, and decides whether the address is public: 6to4 and
/// NAT64.
const EMBEDDING_V6: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
];

/// Returns `true` if an address is part of the public internet: not of this machine, not of a private network, and
/// not for special use.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !PRIVATE_V4
        .iter()
        .any(|(first, length)| (address.to_bits() ^ first.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    for (first, length) in EMBEDDING_V6 {
        if is_in_v6(address, (first, length)) {
            let embedded = address.to_bits() << length >> 96;
            return is_public_v4(Ipv4Addr::from_bits(
                u32::try_from(embedded).unwrap_or_default(),
            ));
        }
    }
    is_in_v6(address, GLOBAL_V6) && !PRIVATE_V6.iter().any(|range| is_in_v6(address, *range))
}

fn is_in_v6(address: Ipv6Addr, (first, length): (Ipv6Addr, u8)) -> bool {
    (address.to_bits() ^ first.to_bits()) >> (128 - length) == 0
}

/// A network, and the networks in it that are excluded.
#[cfg(feature = "kubernetes")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) network: String,
    pub(crate) except: Vec<String>,
}

/// Returns the public internet as networks with exceptions: exactly the addresses for which [`is_public`] is true.
#[cfg(feature = "kubernetes")]
pub(crate) fn public_blocks() -> Vec<Block> {
    let v4 = PRIVATE_V4
        .iter()
        .map(|(first, length)| format!("{first}/{length}"));
    let mut blocks = vec![Block {
        network: "0.0.0.0/0".to_owned(),
        except: v4.collect(),
    }];
    let (global, length) = GLOBAL_V6;
    let six_to_four = EMBEDDING_V6[0];
    let private = PRIVATE_V6.iter().chain([&six_to_four]);
    blocks.push(Block {
        network: format!("{global}/{length}"),
        except: private
            .map(|(first, length)| format!("{first}/{length}"))
            .collect(),
    });
    for (prefix, length) in EMBEDDING_V6 {
        let except = PRIVATE_V4.iter().map(|(first, own)| {
            let embedded = u128::from(first.to_bits()) << (96 - length);
            let first = Ipv6Addr::from_bits(prefix.to_bits() | embedded);
            format!("{first}/{}", length + own)
        });
        blocks.push(Block {
            network: format!("{prefix}/{length}"),
            except: except.collect(),
        });
    }
    blocks
}

#[cfg(test)]
#[cfg(feature = "kubernetes")]
mod tests {
    use super::*;

    fn is_in(address: IpAddr, network: &str) -> bool {
        let (first, length) = network.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        match (address, first.parse().unwrap()) {
            (IpAddr::V4(address), IpAddr::V4(first)) => {
                let differ = address.to_bits() ^ first.to_bits();
                length == 0 || differ >> (32 - length) == 0
            }
            (IpAddr::V6(address), IpAddr::V6(first)) => {
                let differ = address.to_bits() ^ first.to_bits();
                length == 0 || differ >> (128 - length) == 0
            }
            _ => false,
        }
    }

    #[test]
    fn public_blocks_contain_exactly_the_public_addresses() {
        let blocks = public_blocks();
        let mut addresses: Vec<IpAddr> = Vec::new();
        // The first and the last address of each range, and their neighbors.
        for (first, length) in PRIVATE_V4 {
            let last = first.to_bits() | u32::MAX.checked_shr(length.into()).unwrap_or(0);
            for bits in [
                first.to_bits(),
                first.to_bits().wrapping_sub(1),
                last,
                last.wrapping_add(1),
            ] {
                let v4 = Ipv4Addr::from_bits(bits);
                let [a, b, c, d] = v4.octets().map(u16::from);
                addresses.push(v4.into());
                addresses.push(Ipv6Addr::new(0x2002, a << 8 | b, c << 8 | d, 7, 0, 0, 0, 1).into());
                addresses
                    .push(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d).into());
            }
        }
        for (first, length) in PRIVATE_V6
            .into_iter()
            .chain(EMBEDDING_V6)
            .chain([GLOBAL_V6])
        {
            let last = first.to_bits() | u128::MAX >> length;
            for bits in [first.to_bits(), first.to_bits() - 1, last, last + 1] {
                addresses.push(Ipv6Addr::from_bits(bits).into());
            }
        }
        for text in [
            "1.1.1.1",
            "2606:4700::1111",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
            "64:ff9b:1::1",
        ] {
            addresses.push(text.parse().unwrap());
        }
        for address in addresses {
            let allowed = blocks.iter().any(|block| {
                is_in(address, &block.network)
                    && !block.except.iter().any(|net| is_in(address, net))
            });
            assert_eq!(allowed, is_public(address), "{address}");
        }
    }

    #[test]
    fn exceptions_lie_within_their_networks() {
        for block in public_blocks() {
            for except in &block.except {
                let (first, _) = except.split_once('/').unwrap();
                assert!(is_in(first.parse().unwrap(), &block.network), "{except}");
            }
        }
    }
}
