//! Numbers: integers of 64 bits as long as they fit, else floats, as JSON documents hold them.

use std::cmp::Ordering;

use serde_json::Number;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Num {
    Int(i64),
    /// An integer above `i64::MAX`.
    Big(u64),
    /// Any other number, whole or not, and the non-finite ones.
    Float(f64),
}

impl From<&Number> for Num {
    fn from(number: &Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(n), _) => Self::Int(n),
            (None, Some(n)) => Self::Big(n),
            (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }
}

impl Num {
    /// The number as JSON has it; `None` for one that is not finite.
    pub(super) fn to_json(self) -> Option<Number> {
        match self {
            Self::Int(n) => Some(n.into()),
            Self::Big(n) => Some(n.into()),
            Self::Float(x) => Number::from_f64(x),
        }
    }

    /// The result of a calculation with floats.
    pub(super) fn calculated(x: f64) -> Self {
        // Up to 2^53 every integer is a float and the other way around.
        if x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0 {
            Self::Int(x as i64)
        } else {
            Self::Float(x)
        }
    }

    fn integer(n: i128) -> Self {
        match (i64::try_from(n), u64::try_from(n)) {
            (Ok(n), _) => Self::Int(n),
            (Err(_), Ok(n)) => Self::Big(n),
            (Err(_), Err(_)) => Self::Float(n as f64),
        }
    }

    /// The exact integer, if the number is stored as one.
    pub(super) fn as_integer(self) -> Option<i128> {
        match self {
            Self::Int(n) => Some(n.into()),
            Self::Big(n) => Some(n.into()),
            Self::Float(_) => None,
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Big(n) => n as f64,
            Self::Float(x) => x,
        }
    }

    fn pair(self, other: Self) -> Option<(i128, i128)> {
        Some((self.as_integer()?, other.as_integer()?))
    }

    pub(super) fn add(self, other: Self) -> Self {
        match self.pair(other) {
            Some((a, b)) => Self::integer(a + b),
            None => Self::calculated(self.as_f64() + other.as_f64()),
        }
    }

    pub(super) fn subtract(self, other: Self) -> Self {
        match self.pair(other) {
            Some((a, b)) => Self::integer(a - b),
            None => Self::calculated(self.as_f64() - other.as_f64()),
        }
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        match self.pair(other).and_then(|(a, b)| a.checked_mul(b)) {
            Some(n) => Self::integer(n),
            None => Self::calculated(self.as_f64() * other.as_f64()),
        }
    }

    /// The quotient; `None` for a division by zero.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        if other.as_f64() == 0.0 {
            return None;
        }
        Some(match self.pair(other) {
            Some((a, b)) if a % b == 0 => Self::integer(a / b),
            _ => Self::calculated(self.as_f64() / other.as_f64()),
        })
    }

    /// The remainder of the whole parts, with the sign of the dividend; `None` for a division by zero.
    pub(super) fn remainder(self, other: Self) -> Option<Self> {
        let (a, b) = (self.as_f64(), other.as_f64());
        if a.is_nan() || b.is_nan() {
            return Some(Self::Float(f64::NAN));
        }
        // The cast saturates, which is what jq does with infinities.
        let whole = |n: Self| n.as_integer().unwrap_or(n.as_f64() as i64 as i128);
        let (a, b) = (whole(self), whole(other));
        (b != 0).then(|| Self::integer(a % b.abs()))
    }

    pub(super) fn negate(self) -> Self {
        match self.as_integer() {
            Some(n) => Self::integer(-n),
            None => Self::Float(-self.as_f64()),
        }
    }

    /// The total order of numbers, in which NaN comes before all others, itself included, as in jq.
    pub(super) fn compare(self, other: Self) -> Ordering {
        if let Some((a, b)) = self.pair(other) {
            return a.cmp(&b);
        }
        let (a, b) = (self.as_f64(), other.as_f64());
        a.partial_cmp(&b).unwrap_or(if a.is_nan() { Ordering::Less } else { Ordering::Greater })
    }
}
