//! Baggage as an inbound sidecar writes it for its application: our member alone, and among those of others.

use emac_core::context::baggage::{self, Member};
use emac_core::context::{Absolute, Context, Flags};
use emac_core::units::Millis;

/// One request's baggage, with our member and without.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) with: String,
    pub(crate) without: String,
}

/// Every one is within the limits that our own writer keeps.
pub(crate) fn all() -> Vec<Case> {
    let others = [
        ("spaces", "note=two%20words,plus=1%2B1".to_owned()),
        ("other letters", "name=J%C3%BCrgen%20%E2%9C%93,city=%E6%9D%B1%E4%BA%AC".to_owned()),
        ("properties", "tenant=7;k=v;secret,plan=gold;ttl=5".to_owned()),
        ("punctuation", "url=https://shop.example/a?b=c&d=1,mail=a@b.example,list=%5B1;2%5D".to_owned()),
        ("blanks", "a = 1 , b=2,  c =3".to_owned()),
        ("names like ours", "EMAC=x,Emac=y,emac2=z,emac-id=7,x-emac=v1:checkout:5:0000".to_owned()),
        ("a key twice", "a=1,b=2,a=3".to_owned()),
        ("empty values", "a=,b=2".to_owned()),
        ("malformed", "a=1,novalue,b=%zz,=x,\"q\"=1,c(d)=2,e=3".to_owned()),
        ("sixty members", members(60, |i| format!("member{i:02}=value%20{i}"))),
        ("as many as W3C allows", members(baggage::MEMBERS_MAX - 1, |i| format!("m{i}=v"))),
        ("8 000 bytes", members(10, |i| format!("m{i}={:x<796}", ""))),
        ("8 000 bytes in two members", members(2, |i| format!("m{i}={:x<3996}", ""))),
        ("8 000 bytes in one member", format!("m={:x<7997}", "")),
        ("longer once escaped", members(10, |i| format!("m{i}={::<396}", ""))),
        ("properties longer once escaped", members(10, |i| format!("m{i}=1;p={:=<492}", ""))),
    ];
    let mut cases = vec![
        Case::new("alone", &context(1), ""),
        Case::new("alone, without an id", &context(0), ""),
        Case::new("alone, as long as it gets", &longest(), ""),
        Case::old("old form", ""),
        Case::old("old form among others", "note=two%20words,tenant=7;k=v"),
    ];
    cases.extend(others.iter().map(|(name, others)| Case::new(name, &context(1), others)));
    cases
}

impl Case {
    fn new(name: &'static str, ours: &Context<'_, Absolute>, others: &str) -> Self {
        let with = write(others, Some(ours));
        assert!(!with.omitted, "{name}: ours has no room");
        Self { name, with: text(with.header), without: text(write(others, None).header) }
    }

    /// What an inbound side wrote before the form was changed: it always came last.
    fn old(name: &'static str, others: &str) -> Self {
        let comma = if others.is_empty() { "" } else { "," };
        let with = format!("{others}{comma}emac=v1:checkout:1790000000123:0001;id=5");
        Self { name, with, without: others.to_owned() }
    }
}

fn write(others: &str, ours: Option<&Context<'_, Absolute>>) -> baggage::Written {
    baggage::replace(others.as_bytes(), ours.map(|ours| ours as &dyn Member))
}

fn text(header: Vec<u8>) -> String {
    String::from_utf8(header).unwrap()
}

fn members(count: usize, member: impl Fn(usize) -> String) -> String {
    (0..count).map(member).collect::<Vec<_>>().join(",")
}

/// Its id as workers number requests: their own number in the upper bits. Worker 0: no id.
fn context(worker: u64) -> Context<'static, Absolute> {
    let deadline = Absolute(Millis(1_790_000_000_123));
    Context { journey: "checkout", deadline, flags: Flags::new(1), id: worker << 40 }
}

fn longest() -> Context<'static, Absolute> {
    Context {
        journey: "a-journey-with-a-name-as-long-as-names-may-be-0123456789-0123-z",
        deadline: Absolute(Millis(9_999_999_999_999)),
        flags: Flags::new(255).sampled(true).degraded(true).hedge(true),
        id: u64::MAX,
    }
}
