//! Which of some grants strongDM has now: asks for many of them at once, by ID.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::listing::Listed;
use crate::{
    model::GrantId,
    strongdm::{Client, Error, IDS_AT_ONCE},
};

/// So many questions about one grant at once.
const QUESTIONS_AT_ONCE: usize = 4;

/// Two grants that strongDM certainly has: their presence in an answer shows that what is absent from it is gone.
pub(super) type Witnesses<'w> = [&'w GrantId; 2];

/// Those of these grants that strongDM has now.
///
/// That a filter with several IDs finds all of them is the way of strongDM's own tools, but written down nowhere. So an
/// answer is believed only if it holds the witnesses, which stand at both ends of the filter: then it was neither cut, nor
/// were all terms demanded of each grant. Otherwise each grant is asked for by itself.
pub(super) async fn existing(
    strongdm: &Client,
    doubtful: &BTreeSet<&GrantId>,
    witnesses: Option<Witnesses<'_>>,
) -> Result<Listed, Error> {
    let ids: Vec<&GrantId> = doubtful.iter().copied().collect();
    let (mut existing, mut one_by_one) = (Listed::new(), Vec::new());
    for chunk in ids.chunks(IDS_AT_ONCE - 2) {
        let told = match witnesses {
            // Fewer are not worth the doubt.
            Some(witnesses) if one_by_one.is_empty() && chunk.len() > 2 => {
                several(strongdm, chunk, witnesses).await?
            }
            _ => None,
        };
        match told {
            Some(found) => existing.extend(found),
            None => one_by_one.extend(chunk),
        }
    }
    let one_by_one: Vec<GrantId> = one_by_one.into_iter().cloned().collect();
    let questions = stream::iter(one_by_one).map(|id| {
        let strongdm = strongdm.clone();
        async move { strongdm.get_grant(&id).await }
    });
    let found: Vec<_> = questions.buffer_unordered(QUESTIONS_AT_ONCE).try_collect().await?;
    existing.extend(found.into_iter().flatten().map(|grant| (grant.id.clone(), grant)));
    Ok(existing)
}

/// Asks for several at once. None if the answer cannot be believed.
async fn several(
    strongdm: &Client,
    ids: &[&GrantId],
    [first, last]: Witnesses<'_>,
) -> Result<Option<Listed>, Error> {
    let asked: Vec<&GrantId> = [first].into_iter().chain(ids.iter().copied()).chain([last]).collect();
    match strongdm.grants_by_id(&asked).await {
        Ok(Some(found)) => {
            let found: Listed = found.into_iter().map(|grant| (grant.id.clone(), grant)).collect();
            Ok(Some(found).filter(|found| found.contains_key(first) && found.contains_key(last)))
        }
        Ok(None) | Err(Error::InvalidArgument(_) | Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
