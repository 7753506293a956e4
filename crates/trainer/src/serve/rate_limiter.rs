//! Requests per second and address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses that are remembered; those with all their requests left are forgotten first.
const MAX_ADDRESSES: usize = 1 << 16;

/// A token bucket for each address: `rate` requests at once, and `rate` more each second.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rate: f64,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    updated: Instant,
}

impl RateLimiter {
    /// Limits each address to `rate` requests per second; 0: no limit.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: rate.into(),
            buckets: HashMap::new(),
        }
    }

    /// Whether a request of this address is within the limit.
    pub(super) fn allows(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.rate == 0.0 {
            return true;
        }
        let (rate, address) = (self.rate, network(address));
        if self.buckets.len() >= MAX_ADDRESSES && !self.buckets.contains_key(&address) {
            let second = Duration::from_secs(1);
            self.buckets
                .retain(|_, bucket| now.saturating_duration_since(bucket.updated) < second);
            if self.buckets.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let bucket = self.buckets.entry(address).or_insert(Bucket {
            left: rate,
            updated: now,
        });
        let passed = now.saturating_duration_since(bucket.updated);
        bucket.left = (bucket.left + rate * passed.as_secs_f64()).min(rate);
        bucket.updated = now;
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }
}

/// The address to count under: a client with one IPv6 address has all 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_rate_and_no_more() {
        let mut limiter = RateLimiter::new(3);
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let start = Instant::now();
        let allowed = |limiter: &mut RateLimiter, address, now| {
            (0..10).filter(|_| limiter.allows(address, now)).count()
        };
        assert_eq!(allowed(&mut limiter, one, start), 3);
        assert_eq!(allowed(&mut limiter, other, start), 3);
        let later = start + Duration::from_millis(700);
        assert_eq!(allowed(&mut limiter, one, later), 2);
        assert_eq!(
            allowed(&mut limiter, one, start + Duration::from_secs(90)),
            3
        );
        let mut unlimited = RateLimiter::new(0);
        assert_eq!(allowed(&mut unlimited, one, start), 10);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_memory_is_bounded() {
        let mut limiter = RateLimiter::new(1);
        let start = Instant::now();
        let address = |network: u16, host: u16| [0x2001, 0xdb8, 0, network, 0, 0, 0, host].into();
        assert!(limiter.allows(address(1, 1), start));
        assert!(!limiter.allows(address(1, 2), start));
        assert!(limiter.allows(address(2, 1), start));
        // Each address beyond the limit looks at all of them.
        for number in 0..MAX_ADDRESSES as u32 + 10 {
            limiter.allows(IpAddr::from(number.to_be_bytes()), start);
        }
        assert!(limiter.buckets.len() <= MAX_ADDRESSES);
        assert!(limiter.allows([200, 0, 0, 1].into(), start + Duration::from_secs(2)));
    }
}
