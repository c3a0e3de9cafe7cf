"""Every method of an index in one walk, for engines that are to do all that others do."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from fg_search import ConfidenceIndex

QUESTIONS = ["please help my card is stolen", "pizza with cheese", "book a flight"]
EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])


class Called:
    """An index that notes which of its methods are called."""

    def __init__(self, index: ConfidenceIndex) -> None:
        self.index, self.names = index, set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.index, name)


def walk(
    index: Any, other_encoder: Any, many: dict[str, Any], questions: Any, folder: Any, elsewhere: Any
) -> list[Any]:
    """Call every method, and return what does not depend on the moment.

    Args:
        index: An empty index, as :class:`Called` shows it.
        other_encoder: Encoder to migrate to.
        many: Arguments of ``add``.
        questions: Makes questions with their answers.
        folder: Folder for an encoder.
        elsewhere: Where the index is copied to.
    """
    seen: list[Any] = []
    index.add(**many)
    seen.append(index.add(**many).unchanged)
    seen.append([item.text for item in index.items(many["ids"][:120])])
    seen.append(sorted(str(item.id) for item in index.items(query_filter=EVEN)))
    seen.append([item.text for item in index.browse(order_by="confidence", limit=30, query_filter=EVEN).items])
    seen.append([found.item.text for found in index.similar_items(many["ids"][0], limit=3)])
    seen += [
        index.labels(),
        index.labels_of(many["ids"][:120]),
        len(index.vectors_of(many["ids"])),
        index.index.info().labelled,
        index.info().strangers,
    ]
    several = QUESTIONS * 11  # more than a request may hold
    for options in ({}, {"rank_by": "both"}, {"confidence_weight": 1.0}, {"rank_by": "both", "confidence_weight": 0.5}):
        for limit, texts in ((5, QUESTIONS if options else several), (120, QUESTIONS)):
            found = index.search_many(texts, limit=limit, query_filter=EVEN, min_confidence=0.2, **options)
            seen += [len(result.hits) for result in found]
    seen.append(len(index.search(QUESTIONS[0], limit=110).hits))
    seen.append([group.value for group in index.search_groups(QUESTIONS[0], group_by="parity", limit=2).groups])
    index.calibrate(*questions(60, 0))
    index.evaluate(*questions(60, 1), keep=True)
    index.history()
    index.log_queries("all")
    index.search_many([text for text in many["texts"][:45] if text])
    index.report_missing(many["texts"][0])
    seen.append(len(index.logged_queries(limit=100, only_open=False)))
    seen.append(round(index.adapt().share.value, 3))
    seen.append(index.check_traffic().holds)
    seen.append(len(index.missing_labels()))
    audited = index.audit(target_precision=0.3, limit=40)
    seen.append(len(audited.following))
    seen += [index.judge_answer(one, "right", target_precision=0.3).bounds.judged for one in audited.following[:3]]
    seen.append(len(index.judged_answers()))
    first = index.logged_queries(limit=100, only_open=False)
    index.decide_queries([query.id for query in first], "dismiss")
    seen.append(index.forget_queries([query.id for query in first[:3]]))
    index.log_queries("none")
    seen.append(index.relabel(dict.fromkeys(many["ids"][:110], "other")))
    seen.append(index.relabel(dict(zip(many["ids"][:110], many["labels"], strict=False))))
    index.score_labels()
    index.score_labels()
    index.score_items()
    seen.append(len(index.confused_labels()))
    for kind in ("ambiguous", "contradicted", "duplicate", "conflicting", "outlier"):
        seen.append(len(index.review(kind=kind, limit=120, query_filter=EVEN)))
        seen.append(index.count_review(kind=kind, query_filter=EVEN))
    index.decide(many["ids"][0], "label", label="other")
    index.decide(many["ids"][1], "unsure")
    seen.append(len(index.review(kind="second")))
    index.decide(many["ids"][2], "delete")
    seen.append(len(index.review(kind="unsure")))
    index.undo()
    seen.append(len(index.decisions()))
    seen.append(index.make_filterable(["parity"]))
    index.refit(folder / "refitted", set_aside=0.4)
    seen += [index.search(QUESTIONS[1], query_filter=EVEN).decision, index.info().points]
    seen.append(index.copy_to(elsewhere).points)
    index.decide(many["ids"][3], "label", label="other")
    seen.append(index.push(elsewhere))
    index.decide(many["ids"][3], "label", label="their")
    seen.append(index.pull(elsewhere, overwrite=many["ids"][3:4]).written)
    index.optimize()
    index.migrate(other_encoder)
    seen.append(index.delete(many["ids"][:105]))
    seen.append(index.delete(query_filter=EVEN))
    seen += [index.count() if hasattr(index.index, "count") else len(index.index), len(index.decisions())]
    return seen
