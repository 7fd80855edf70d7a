//! DER taken apart and put together again, so that tests can make what no honest library writes.

/// A value: its tag, and its bytes or what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Primitive(u8, Vec<u8>),
    Constructed(u8, Vec<Node>),
}

impl Node {
    /// Reads one value, which must be all there is.
    pub(crate) fn parse(der: &[u8]) -> Self {
        let (node, rest) = Self::split(der);
        assert!(rest.is_empty());
        node
    }

    fn split(der: &[u8]) -> (Self, &[u8]) {
        let tag = der[0];
        let (header, len) = match der[1] {
            short @ 0..=0x7F => (2, usize::from(short)),
            0x81 => (3, usize::from(der[2])),
            0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
            other => panic!("length {other:#x}"),
        };
        let (content, rest) = der[header..].split_at(len);
        if tag & 0x20 == 0 {
            return (Self::Primitive(tag, content.to_vec()), rest);
        }
        let (mut children, mut left) = (Vec::new(), content);
        while !left.is_empty() {
            let (child, behind) = Self::split(left);
            children.push(child);
            left = behind;
        }
        (Self::Constructed(tag, children), rest)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, content) = match self {
            Self::Primitive(tag, content) => (*tag, content.clone()),
            Self::Constructed(tag, children) => (*tag, children.iter().flat_map(Self::encode).collect()),
        };
        let mut der = vec![tag];
        match content.len() {
            len @ 0..=0x7F => der.push(u8::try_from(len).unwrap()),
            len @ 0x80..=0xFF => der.extend([0x81, u8::try_from(len).unwrap()]),
            len => {
                der.push(0x82);
                der.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        der.extend(content);
        der
    }

    /// The part at this path of indices.
    pub(crate) fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |node, index| &mut node.children()[*index])
    }

    pub(crate) fn children(&mut self) -> &mut Vec<Self> {
        match self {
            Self::Constructed(_, children) => children,
            Self::Primitive(tag, _) => panic!("{tag:#x} has no parts"),
        }
    }

    pub(crate) fn content(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Primitive(_, content) => content,
            Self::Constructed(tag, _) => panic!("{tag:#x} has parts"),
        }
    }
}

pub(crate) fn sequence(children: Vec<Node>) -> Node {
    Node::Constructed(0x30, children)
}

pub(crate) fn oid(der_content: &[u8]) -> Node {
    Node::Primitive(0x06, der_content.to_vec())
}

pub(crate) fn utf8(text: &str) -> Node {
    Node::Primitive(0x0C, text.as_bytes().to_vec())
}
