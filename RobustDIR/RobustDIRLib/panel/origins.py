"""What the results of a run were made from, and whether that still holds.

A run's record names the nodes it was given, by references that the scene keeps, and says what they held (see
`mrml.contents`). As long as the same nodes are selected, hold the same and lie where they lay, the results are those of
the pair that is shown. Otherwise they are stale, and each reason is a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from RobustDIRLib.mrml.contents import Content, begin_content, place_of, state_of
from RobustDIRLib.mrml.known_contents import KnownContents
from RobustDIRLib.mrml.nodes import Node, PlacedNode
from RobustDIRLib.panel import inputs
from RobustDIRLib.panel.parameters import Parameters, kept_list, kept_object
from RobustDIRLib.panel.request import RegistrationRequest
from RobustDIRLib.panel.structure_origins import StructureOrigins
from RobustDIRLib.panelparts.words import _

# Parameters that a run rests on, the parameter that refers to the node of the run, and what it is called.
INPUTS = {
    "fixedVolume": ("ofFixedVolume", _("fixed volume")),
    "movingVolume": ("ofMovingVolume", _("moving volume")),
    "fixedMask": ("ofFixedMask", _("fixed mask")),
    "movingMask": ("ofMovingMask", _("moving mask")),
}
# Likewise of what a run makes.
OUTPUTS = {
    "transformNode": ("madeTransform", "transform"),
    "warpedNode": ("madeWarped", _("warped volume")),
    "inverseNode": ("madeInverse", _("inverse transform")),
    "jacobianNode": ("madeJacobian", _("Jacobian map")),
}


@dataclass(frozen=True)
class Origin:
    """What a run is given, by the names of parameters.

    Attributes:
        nodes: The nodes.
        segments: Of masks.
        contents: What the nodes hold.
        states: Of the nodes as this was found out, see `mrml.contents.state_of`.
    """

    nodes: dict[str, PlacedNode] = field(default_factory=dict)
    segments: dict[str, str] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    states: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the record; the nodes are referred to by parameters."""
        kept = {name: content.to_json() for name, content in self.contents.items()}
        return {"segments": self.segments, "contents": kept}


def begin(parameters: Parameters) -> tuple[RegistrationRequest, Origin]:
    """All that a run of these parameters is given, and where it comes from, which is known after the request's steps.

    Raises:
        InputError: As `inputs.request`.
    """
    request = inputs.request(parameters)
    origin, steps = _begin(parameters)
    return replace(request, steps=chain(*steps, request.steps)), origin


def _begin(parameters: Parameters) -> tuple[Origin, list[Iterator[None]]]:
    origin, steps = Origin(), []
    for name in INPUTS:
        node = getattr(parameters, name)
        if node is None:
            continue
        segment = _segment(parameters, name)
        origin.nodes[name] = node
        origin.segments.update({name: segment} if segment else {})
        wanted = (segment,) if segment else ()
        origin.states[name] = state_of(node, wanted)
        origin.contents[name], filling = begin_content(node, wanted)
        steps.append(filling)
    return origin, steps


@dataclass(frozen=True)
class Standing:
    """How the results of a parameter set stand.

    Attributes:
        record: What is known of the run that made them; empty if none did.
        fixed: Its fixed volume node; None if that is gone.
        moving: Its moving volume node; None if that is gone.
        reasons: Why they are stale, a sentence each; none if they are not.
    """

    record: dict[str, Any] = field(default_factory=dict)
    fixed: PlacedNode | None = None
    moving: PlacedNode | None = None
    reasons: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether they belong to something else than what is selected."""
        return bool(self.reasons)

    @property
    def title(self) -> str:
        """The pair by its names: those of the nodes, or as they were called."""
        if not self.record:
            return ""
        then = self.record.get("pair")
        then = then if isinstance(then, list) and len(then) == 2 else ["?", "?"]
        fixed, moving = (
            str(name) if node is None else node.GetName()
            for name, node in zip(then, (self.fixed, self.moving), strict=True)
        )
        return f"{moving} on {fixed}"

    def sentence(self) -> str:
        """Why nothing is judged; empty if the results are not stale."""
        if not self.stale:
            return ""
        return _("Stale: these are results of {title}. {reasons} Register again.").format(
            title=self.title, reasons=" ".join(self.reasons)
        )


class Origins:
    """Tells how results stand; what nodes hold is looked at anew only where it may have changed."""

    def __init__(self) -> None:
        self._known = KnownContents()
        self.structures = StructureOrigins(self._known)

    def forget(self) -> None:
        """For when the scene has been closed."""
        self._known.forget()

    def keep(
        self,
        parameters: Parameters,
        origin: Origin,
        record: dict[str, Any],
        filled: Mapping[str, tuple[PlacedNode, str]],
    ) -> None:
        """Write a run's record with its origin and what its outputs hold into the parameters.

        Args:
            parameters: Of the panel.
            origin: Of the run, its contents known.
            record: Of the run, as far as it is kept.
            filled: Nodes of the outputs by parameter, each with the checksum of its data.
        """
        made = {name: Content(data, place_of(node)) for name, (node, data) in filled.items()}
        for name, content in made.items():
            self._known.note(state_of(filled[name][0]), content)
        for name, content in origin.contents.items():
            self._known.note(origin.states[name], content)
        contents = {name: content.to_json() for name, content in made.items()}
        for name, (reference, _what) in INPUTS.items():
            node = origin.nodes.get(name)
            setattr(parameters, reference, node if node is not None and node.GetScene() is not None else None)
        for name, (reference, _what) in OUTPUTS.items():
            setattr(parameters, reference, filled[name][0] if name in filled else None)
            if name not in filled:
                setattr(parameters, name, None)  # of a run before: it does not belong to these results
        parameters.structures = parameters.chosenOutputs = ""
        parameters.record = json.dumps({**record, "origin": origin.to_json(), "made": contents})

    def staying(self, parameters: Parameters, origin: Origin) -> set[str]:
        """Parameters of outputs whose node a run must leave: those of another pair, or changed, but for chosen ones."""
        record = kept_object(parameters.record)
        if not record:
            return set()
        before, made = _parsed(record.get("origin")), record.get("made") or {}
        chosen = set(kept_list(parameters.chosenOutputs))
        if before is None or not _same_origin(parameters, before, origin):
            return set(OUTPUTS) - chosen
        nodes = {name: getattr(parameters, name) for name in OUTPUTS if name not in chosen}
        return {name for name, node in nodes.items() if node is not None and not self._holds(node, made.get(name))}

    def _holds(self, node: PlacedNode, said: object) -> bool:
        kept = _content_or_none(said)
        return kept is not None and self._known.content(node).same(kept)

    def standing(self, parameters: Parameters) -> Standing:
        """Of the results of a parameter set."""
        record = kept_object(parameters.record)
        if not record:
            return Standing()
        fixed, moving = parameters.ofFixedVolume, parameters.ofMovingVolume
        origin, made = _parsed(record.get("origin")), record.get("made")
        if origin is None or not isinstance(made, dict):
            return Standing(record, fixed, moving, (_("What they were made from is not known."),))
        reasons = [*self._of_inputs(parameters, origin), *self._of_outputs(parameters, made)]
        return Standing(record, fixed, moving, tuple(reasons))

    def _of_inputs(self, parameters: Parameters, origin: Mapping[str, Any]) -> Iterator[str]:
        now = {name: getattr(parameters, name) for name in INPUTS}
        then = {name: getattr(parameters, reference) for name, (reference, _what) in INPUTS.items()}
        fixed, moving = then["fixedVolume"], then["movingVolume"]
        two = None not in (fixed, moving) and fixed is not moving
        if two and now["fixedVolume"] is moving and now["movingVolume"] is fixed:
            yield _("Fixed and moving volume were swapped.")
            return
        for name, (_reference, what) in INPUTS.items():
            reason = self._of_input(parameters, name, then[name], origin)
            if reason:
                yield _("The {what} {reason}.").format(what=what, reason=reason)

    def _of_input(self, parameters: Parameters, name: str, then: PlacedNode | None, origin: Mapping[str, Any]) -> str:
        """What became of one input, as the end of a sentence; empty if it is what it was."""
        now, kept = getattr(parameters, name), origin["contents"].get(name)
        if kept is None:
            return "" if now is None else _("was added")
        if then is None:
            return _("was deleted")
        if now is not then:
            return _("is no longer selected") if now is None else _("is another one")
        segment = origin["segments"].get(name, "")
        if segment and _segment(parameters, name) != segment:
            return _("is another segment")
        found = self._known.content(now, (segment,) if segment else ())
        if found.data != kept.data:
            return _("was edited")
        return "" if found.same_place(kept) else _("was moved")

    def _of_outputs(self, parameters: Parameters, made: Mapping[str, Any]) -> Iterator[str]:
        for name, (_reference, what) in OUTPUTS.items():
            node = getattr(parameters, name)
            if node is None:
                continue
            kept = _content_or_none(made.get(name))
            if kept is None or self._known.content(node).data != kept.data:
                yield _("The {what} “{node}” is not what the registration left.").format(what=what, node=node.GetName())
            elif not self._known.content(node).same_place(kept):
                yield _("The {what} “{node}” was moved.").format(what=what, node=node.GetName())


def _same_origin(parameters: Parameters, before: Mapping[str, Any], origin: Origin) -> bool:
    """Whether a run was given the same as the run before."""
    same = before["segments"] == origin.segments and before["contents"].keys() == origin.contents.keys()
    return same and all(
        getattr(parameters, reference) is origin.nodes.get(name)
        and (name not in origin.contents or before["contents"][name].same(origin.contents[name]))
        for name, (reference, _what) in INPUTS.items()
    )


def note_choices(parameters: Parameters, standing: Standing) -> None:
    """Remember the outputs whose selected node is no longer the one that the run filled: the user chose otherwise."""
    if not standing.record:
        return
    chosen = set(kept_list(parameters.chosenOutputs))
    for name, (reference, _what) in OUTPUTS.items():
        made = getattr(parameters, reference)
        if made is not None and getattr(parameters, name) is not made:
            chosen.add(name)
    if chosen != set(kept_list(parameters.chosenOutputs)):
        parameters.chosenOutputs = json.dumps(sorted(chosen))


def _segment(parameters: Parameters, name: str) -> str:
    """The segment that is a mask; empty for volumes and for masks without segments."""
    if not name.endswith("Mask"):
        return ""
    return inputs.segment_of(getattr(parameters, name), getattr(parameters, f"{name}Segment")) or ""


def _parsed(origin: Any) -> dict[str, Any] | None:
    """A record's origin with its contents; None where it is damaged or of another form."""
    try:
        contents = {name: Content.from_json(each) for name, each in origin["contents"].items()}
        return {"segments": dict(origin["segments"]), "contents": contents}
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _content_or_none(said: object) -> Content | None:
    try:
        return Content.from_json(said) if isinstance(said, dict) else None
    except ValueError:
        return None


def depends_on(volumes: Iterable[PlacedNode | None], node: Node) -> bool:
    """Whether a node is one of some others, or a transform above one of them."""
    for each in volumes:
        while each is not None:
            if each is node:
                return True
            each = each.GetParentTransformNode()
    return False
