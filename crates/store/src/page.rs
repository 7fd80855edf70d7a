//! Pages of a list, by keyset: a page starts after the last item of the one before, so that what is added or removed in
//! between neither repeats nor skips an item.

/// How many items a page may have: 1 to [`PageLimit::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u32);

impl PageLimit {
    /// The most items of any page.
    pub const MAX: u32 = 500;

    /// A limit of so many items, held to 1..=[`Self::MAX`].
    pub const fn new(items: u32) -> Self {
        Self(if items == 0 {
            1
        } else if items > Self::MAX {
            Self::MAX
        } else {
            items
        })
    }

    /// How many.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(Self::MAX)
    }
}

/// Which part of a list is asked for. A page with fewer items than its limit is the last.
///
/// `C` is what the items are ordered by: the identifier of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<C> {
    /// The last item of the page before; `None` asks for the first page.
    ///
    /// An identifier that the list does not have stands for the place where it would be if the list is ordered by the
    /// identifier, and otherwise for its end: histories are purged from their far end, so whatever came after an item
    /// that is gone is gone as well.
    pub after: Option<C>,
    /// How many items.
    pub limit: PageLimit,
}

impl<C> Page<C> {
    /// The first page.
    pub const fn first(limit: PageLimit) -> Self {
        Self { after: None, limit }
    }

    /// The page after this item.
    pub const fn after(cursor: C, limit: PageLimit) -> Self {
        Self { after: Some(cursor), limit }
    }
}

impl<C> Default for Page<C> {
    fn default() -> Self {
        Self::first(PageLimit::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held_to_their_range() {
        assert_eq!(PageLimit::new(0).get(), 1);
        assert_eq!(PageLimit::new(PageLimit::MAX).get(), PageLimit::MAX);
        assert_eq!(PageLimit::new(PageLimit::MAX + 1).get(), PageLimit::MAX);
    }
}
