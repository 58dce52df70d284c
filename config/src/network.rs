//! Networks, as a setting names them: who may send where a protocol knows no token.

use std::fmt;
use std::net::IpAddr;

use crate::value::SettingValue;

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Network { address, prefix })
    }

    /// Whether an address is in it. An IPv4 address that came over an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            // To the left, so that the prefix counts from the same end in both families.
            IpAddr::V4(address) => (4, u128::from(u32::from(address)) << 96),
            IpAddr::V6(address) => (6, u128::from(address)),
        };
        let ((own_family, own), (family, other)) = (bits(self.address), bits(address));
        let differing = own ^ other;
        own_family == family && (self.prefix == 0 || differing >> (128 - u32::from(self.prefix)) == 0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Networks; none stands for all there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Option<Vec<Network>>);

impl Networks {
    /// Whether an address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(address)))
    }
}

/// The word for all networks.
const ANY: &str = "any";

impl SettingValue for Networks {
    const EXPECTED: &'static str = "networks such as 10.0.0.0/8,192.168.1.7,fd00::/8, or any";
    fn parse(text: &str) -> Option<Self> {
        if text == ANY {
            return Some(Networks(None));
        }
        text.split(',')
            .map(|part| Network::parse(part.trim()))
            .collect::<Option<_>>()
            .map(|all| Networks(Some(all)))
    }
    fn show(&self) -> String {
        match &self.0 {
            None => ANY.to_owned(),
            Some(networks) => networks.iter().map(Network::to_string).collect::<Vec<_>>().join(","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_the_networks_that_were_named() {
        let networks = Networks::parse("10.1.0.0/16, 192.168.1.7,fd00::/8").unwrap();
        let contain = |text: &str| networks.contain(text.parse().unwrap());
        for inside in ["10.1.2.3", "192.168.1.7", "fd12::1", "::ffff:10.1.0.9"] {
            assert!(contain(inside), "{inside}");
        }
        for outside in ["10.2.0.0", "192.168.1.8", "fe00::1", "::1", "::10.1.0.9"] {
            assert!(!contain(outside), "{outside}");
        }
        assert!(Networks::parse("0.0.0.0/0").unwrap().contain("8.8.8.8".parse().unwrap()));
        assert!(!Networks::parse("0.0.0.0/0").unwrap().contain("::1".parse().unwrap()));
        assert!(Networks::parse(ANY).unwrap().contain("::1".parse().unwrap()));
        assert_eq!(Networks::parse(&networks.show()), Some(networks));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "host", "10.0.0.0/8,", "fd00::/129"] {
            assert_eq!(Networks::parse(wrong), None, "{wrong}");
        }
    }
}
