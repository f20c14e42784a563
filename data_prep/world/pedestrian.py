"""One drawn pedestrian: a small skeleton in a pose, dressed by the person's attributes and seen from a side."""

from __future__ import annotations

import math

import numpy as np

from data_prep.world.body import ARMS, CARRIED, HEAD, LEGS, SHOES, UPPER, Body, Cloth, Part, Point, Row
from data_prep.world.identities import Attributes
from data_prep.world.layers import Layer
from data_prep.world.painting import Stance, paint

# The sides that a person is seen from.
VIEWS = ("front", "side", "back")

# Degrees: left thigh, left knee, right thigh, right knee, left arm, left elbow, right arm, right elbow.
POSES: dict[str, tuple[float, ...]] = {
    "standing": (2, 2, -2, 2, 3, 8, -2, 8),
    "left stride": (25, 4, -21, 14, -24, 8, 25, 24),
    "left passing": (3, 4, 14, 52, 5, 16, -5, 16),
    "right stride": (-21, 14, 25, 4, 25, 24, -24, 8),
    "right passing": (14, 52, 3, 4, -5, 16, 5, 16),
    "phone": (2, 2, -3, 4, 2, 10, 18, 118),
}

# Body heights as shares of a medium person's.
STATURE = {"short": 0.945, "medium": 1.0, "tall": 1.05}

# Widths as shares of what the drawing's numbers say.
GIRTH = {"slim": 0.84, "medium": 0.95, "broad": 1.1}


def _ball(middle: float, tall: float, wide: float, deep: float, *, stop: float = math.pi) -> list[Row]:
    """The rows of an ellipsoid, from its top down to the angle `stop`, in radians."""
    return [(middle + tall * math.cos(a), wide * math.sin(a), deep * math.sin(a)) for a in np.linspace(0.12, stop, 9)]


def _head(body: Body, who: Attributes) -> None:
    skin, hair = Cloth(who.skin), Cloth(who.hair_colour)
    body.limb(HEAD, (0, 0.84, -0.005), (0, 0.88, 0.0), (0.031, 0.029), skin, 0.02)
    face = skin if who.hair == "bald" else Cloth(who.skin, who.hair_colour, "hairline")
    body.column(HEAD, _ball(0.925, 0.074, 0.053, 0.062), face, 0.03)
    if body.cos > -0.35:
        for side in (-0.021, 0.021):
            if body.near(side, 0.052) > 0.012:
                body.limb(HEAD, (side, 0.93, 0.052), (side, 0.927, 0.052), (0.0065, 0.0065), Cloth("black"), 0.032)
        body.limb(HEAD, (0, 0.915, 0.06), (0, 0.905, 0.065), (0.006, 0.009), skin, 0.031)
        if body.near(0, 0.05) > 0.01:
            body.limb(HEAD, (-0.013, 0.885, 0.048), (0.013, 0.885, 0.048), (0.004, 0.004), Cloth("red"), 0.032)
    if who.hair == "long":
        rows = [
            (0.985, 0.03, 0.02),
            (0.96, 0.058, 0.038),
            (0.90, 0.066, 0.042),
            (0.80, 0.07, 0.036),
            (0.775, 0.055, 0.03),
        ]
        body.column(HEAD, rows, hair, 0.035 - 0.06 * body.cos, (0.0, -0.04))
    if who.hair == "ponytail":
        for start, end, radii in (
            ((0.95, -0.055), (0.93, -0.085), (0.02, 0.02)),
            ((0.93, -0.085), (0.81, -0.1), (0.024, 0.01)),
        ):
            joints = (0.0, *start), (0.0, *end)
            body.limb(HEAD, *joints, radii, hair, 0.035 - 0.06 * body.cos)
    _hat(body, who)


def _hat(body: Body, who: Attributes) -> None:
    cloth = Cloth(who.hat_colour)
    if who.hat == "cap":
        body.column(HEAD, _ball(0.945, 0.066, 0.058, 0.068, stop=1.7), cloth, 0.14)
        visor = [(0.957, 0.03, 0.02), (0.949, 0.046, 0.042), (0.938, 0.036, 0.03)]
        body.column(HEAD, visor, cloth, 0.141 if body.cos > -0.2 else -0.2, (0.0, 0.075))
    elif who.hat == "beanie":
        body.column(HEAD, _ball(0.945, 0.078, 0.06, 0.069, stop=1.6), cloth, 0.14)
        rim = [(0.962, 0.061, 0.07), (0.955, 0.064, 0.073), (0.938, 0.064, 0.073), (0.934, 0.06, 0.07)]
        body.column(HEAD, rim, cloth, 0.141)
    elif who.hat == "wide hat":
        body.column(HEAD, _ball(0.955, 0.068, 0.056, 0.064, stop=1.6), cloth, 0.14)
        brim = [(0.971, 0.06, 0.06), (0.962, 0.11, 0.115), (0.955, 0.118, 0.122), (0.947, 0.1, 0.105)]
        body.column(HEAD, brim, cloth, 0.141)


def _swing(start: Point, length: float, degrees: float, aside: float = 0.0) -> Point:
    """Where a bone ends that hangs from `start`, swung ahead by an angle and a little aside."""
    angle = math.radians(degrees)
    return start[0] + aside, start[1] - length * math.cos(angle), start[2] + length * math.sin(angle)


def _arm(body: Body, who: Attributes, side: int, swing: float, elbow: float) -> Point:
    """Draw one arm (side 1: the left one) and return where its hand is."""
    wide = GIRTH[who.girth]
    shoulder = (side * 0.1 * wide, 0.803, 0.0)
    joint = _swing(shoulder, 0.16, swing, side * 0.028)
    wrist = _swing(joint, 0.145, swing + elbow, side * 0.003)
    depth = body.near(side * 0.12, (joint[2] + wrist[2]) / 2) + 0.02
    thick = wide * (0.034 if who.upper in ("open jacket", "coat") else 0.029)
    pattern = who.pattern if who.pattern != "chest print" else "plain"
    sleeve = Cloth(who.upper_colour, who.second_colour, pattern)
    body.limb(ARMS, wrist, _swing(wrist, 0.03, swing + elbow), (0.019, 0.016), Cloth(who.skin), depth)
    if who.upper == "t-shirt":
        body.limb(ARMS, joint, wrist, (0.024 * wide, 0.019), Cloth(who.skin), depth)
        body.limb(ARMS, shoulder, joint, (0.027 * wide, 0.024 * wide), Cloth(who.skin), depth)
        cuff = tuple(a + 0.62 * (b - a) for a, b in zip(shoulder, joint, strict=True))
        body.limb(ARMS, shoulder, (cuff[0], cuff[1], cuff[2]), (0.034 * wide, 0.036 * wide), sleeve, depth)
    else:
        body.limb(ARMS, joint, wrist, (thick * 0.94, thick * 0.78), sleeve, depth, 0.16)
        body.limb(ARMS, shoulder, joint, (thick * 1.12, thick * 0.96), sleeve, depth)
    return wrist


def _leg(body: Body, who: Attributes, hip: Point, knee: Point, ankle: Point, sole: float) -> None:
    """Draw one leg with its shoe; `sole` is the shin's angle in degrees, which the foot follows half way."""
    wide, skin = GIRTH[who.girth], Cloth(who.skin)
    depth = -0.05 + 0.3 * body.near(hip[0], 0.3 * knee[2])
    cloth = Cloth(who.lower_colour, who.side_stripe, "plain" if who.side_stripe == "none" else "side stripe")
    bare = who.lower != "trousers"
    toe = _swing((ankle[0] * 1.1, ankle[1] - 0.012, ankle[2]), 0.085, 84 + 0.45 * sole)
    heel = (ankle[0], ankle[1] - 0.008, ankle[2] - 0.012)
    body.limb(LEGS, knee, ankle, (0.036 * wide, 0.024), skin if bare else cloth, depth, 0.23)
    if not bare:
        body.limb(LEGS, knee, ankle, (0.043 * wide, 0.035), cloth, depth, 0.23)
    body.limb(SHOES, heel, toe, (0.027, 0.02), Cloth(who.shoe_colour), depth + 0.001)
    if who.shoes == "boots":
        top = tuple(a + 0.45 * (b - a) for a, b in zip(ankle, knee, strict=True))
        body.limb(SHOES, (top[0], top[1], top[2]), ankle, (0.039, 0.033), Cloth(who.shoe_colour), depth + 0.001)
    body.limb(LEGS, hip, knee, (0.06 * wide, 0.045 * wide), skin if who.lower == "skirt" else cloth, depth)
    if who.lower == "shorts":
        body.limb(LEGS, hip, knee, (0.064 * wide, 0.057 * wide), cloth, depth)


def _trunk(body: Body, who: Attributes, reach: tuple[float, float]) -> None:
    """Draw the upper garment's body and the hips; `reach` is how far the knees go behind and ahead."""
    wide = GIRTH[who.girth]
    ahead = max(reach[1], 0.0), max(-reach[0], 0.0)
    spread, shift = (ahead[0] + ahead[1]) / 2, (ahead[0] - ahead[1]) / 2
    lower = Cloth(who.lower_colour, who.side_stripe, "plain" if who.side_stripe == "none" else "side stripe")
    hips = [(0.60, 0.085 * wide, 0.07 * wide), (0.52, 0.103 * wide, 0.08 * wide), (0.475, 0.1 * wide, 0.07 * wide)]
    body.column(LEGS, hips, lower, -0.012)
    if who.lower == "skirt":
        flare = [
            (0.58, 0.088 * wide, 0.07),
            (0.5, 0.112 * wide, 0.085 * wide),
            (0.3, 0.14 * wide, 0.075 + 0.9 * spread),
        ]
        body.column(LEGS, flare, lower, -0.011, (0.0, 0.45 * shift))
    rows = [(0.855, 0.036, 0.035), (0.843, 0.06 * wide, 0.045), (0.831, 0.088 * wide, 0.055 * wide)]
    rows += [(0.81, 0.108 * wide, 0.066 * wide), (0.74, 0.11 * wide, 0.075 * wide), (0.62, 0.096 * wide, 0.072 * wide)]
    hem = {"t-shirt": 0.485, "long sleeve": 0.48, "open jacket": 0.465, "coat": 0.33}[who.upper]
    rows += [(0.53, 0.106 * wide, 0.079 * wide)]
    rows += [
        (hem, 0.125 * wide, 0.085 * wide + 0.45 * spread) if who.upper == "coat" else (hem, 0.11 * wide, 0.081 * wide)
    ]
    cloth = Cloth(who.upper_colour, who.second_colour, who.pattern, who.upper == "open jacket")
    body.column(UPPER, rows, cloth, 0.0)
    if who.upper in ("coat", "open jacket"):
        collar = [(0.872, 0.038, 0.036), (0.865, 0.044, 0.042), (0.845, 0.055, 0.048), (0.838, 0.05, 0.04)]
        body.column(UPPER, collar, Cloth(who.upper_colour, who.second_colour, "plain", True), 0.015)


def _bag(body: Body, who: Attributes, hand: Point) -> None:
    cloth, wide = Cloth(who.bag_colour), GIRTH[who.girth]
    if who.bag == "backpack":
        back = -0.105 * wide
        pack = [
            (0.825, 0.05, 0.025),
            (0.81, 0.078, 0.042),
            (0.72, 0.088, 0.05),
            (0.58, 0.09, 0.056),
            (0.555, 0.08, 0.045),
        ]
        body.column(CARRIED, pack, cloth, body.near(0, back) * 1.2 + 0.01, (0.0, back))
        pocket = [(0.69, 0.055, 0.03), (0.68, 0.062, 0.036), (0.6, 0.062, 0.036), (0.59, 0.055, 0.03)]
        body.column(CARRIED, pocket, cloth, body.near(0, back) * 1.3 + 0.011, (0.0, back - 0.025))
        for x in (-0.068 * wide, 0.068 * wide):
            depth = 0.0 + 0.02 * body.cos
            body.limb(CARRIED, (x, 0.838, 0.01), (x * 1.1, 0.63, 0.025 * wide), (0.013, 0.012), cloth, depth)
    elif who.bag == "shoulder bag":
        for z in (-0.07 * wide, 0.07 * wide):
            depth = 0.012 if z * body.cos > 0 else -0.01
            body.limb(CARRIED, (-0.07, 0.845, z * 0.3), (0.115 * wide, 0.55, z), (0.0095, 0.0095), cloth, depth)
        box = [(0.565, 0.04, 0.06), (0.555, 0.045, 0.075), (0.44, 0.05, 0.085), (0.425, 0.045, 0.075)]
        body.column(CARRIED, box, cloth, body.near(0.14, 0) * 1.3 + 0.03, (0.142 * wide, 0.0))
    elif who.bag == "hand bag":
        x, y, z = hand[0], hand[1] - 0.03, hand[2]
        depth = body.near(0.14, z) + 0.03
        for dz in (-0.03, 0.03):
            body.limb(CARRIED, (x, y, z), (x, y - 0.06, z + dz), (0.006, 0.006), cloth, depth)
        box = [(y - 0.055, 0.04, 0.06), (y - 0.06, 0.045, 0.064), (y - 0.15, 0.055, 0.082), (y - 0.16, 0.05, 0.075)]
        body.column(CARRIED, box, cloth, depth + 0.001, (x + 0.008, z))
    elif who.bag == "suitcase":
        x, z = hand[0] + 0.03, hand[2] - 0.03
        depth = body.near(0.15, z) + 0.015
        body.limb(CARRIED, hand, (x, 0.3, z), (0.006, 0.006), Cloth("grey"), depth)
        case = [(0.335, 0.05, 0.075), (0.325, 0.062, 0.09), (0.05, 0.062, 0.09), (0.035, 0.055, 0.08)]
        body.column(CARRIED, case, cloth, depth + 0.001, (x, z))
        for dz in (-0.055, 0.055):
            body.limb(CARRIED, (x, 0.022, z + dz), (x, 0.018, z + dz), (0.018, 0.018), Cloth("black"), depth)


def parts_of(who: Attributes, turn: float, pose: str, swing: float = 0.0) -> list[Part]:
    """A person's parts from the farthest to the nearest, the feet at height 0.

    Args:
        who: the person.
        turn: in radians: 0 faces the camera, a right angle the right.
        pose: one of `POSES`.
        swing: in degrees: makes the steps of a pose longer or, where negative, shorter.
    """
    angles = [a + math.copysign(swing, a) if abs(a) > 10 else a for a in POSES[pose]]
    if who.bag == "suitcase":
        angles[4:6] = [-22.0, 4.0]  # the arm that pulls it stays behind
    body, wide = Body(turn), GIRTH[who.girth]
    hips = [(side * 0.052 * wide, 0.5, 0.0) for side in (1, -1)]
    knees = [_swing(hip, 0.235, thigh) for hip, thigh in zip(hips, angles[0:4:2], strict=True)]
    shins = [thigh - knee for thigh, knee in zip(angles[0:4:2], angles[1:4:2], strict=True)]
    ankles = [_swing(knee, 0.23, shin) for knee, shin in zip(knees, shins, strict=True)]
    for hip, knee, ankle, shin in zip(hips, knees, ankles, shins, strict=True):
        _leg(body, who, hip, knee, ankle, shin)
    _trunk(body, who, (min(k[2] for k in knees), max(k[2] for k in knees)))
    hand = _arm(body, who, 1, angles[4], angles[5])
    _arm(body, who, -1, angles[6], angles[7])
    _head(body, who)
    _bag(body, who, hand)
    return sorted(body.parts, key=lambda part: part.depth)


def draw_pedestrian(
    attributes: Attributes,
    view: str,
    pose: str,
    rng: np.random.Generator | None = None,
    *,
    height: int = 192,
    width: int = 96,
    centre: float = 0.5,
    size: float = 0.86,
    margin: int = 0,
) -> Layer:
    """One person as a layer; `layer.over(255)` is the person on white.

    Args:
        attributes: the person.
        view: the side that the person is seen from, one of `VIEWS`.
        pose: one of `POSES`.
        rng: varies angle, lean, step, size and position a little; without it the person stands upright, seen at
            exactly the view's angle.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        centre: the middle of the feet from left to right, as a share of the width.
        size: a medium person's height as a share of the frame's.
        margin: pixels to draw on every side of the frame, for what sticks out of it.

    Returns:
        A layer of (height + 2 margin, width + 2 margin).
    """
    turn = {"front": 0.0, "side": math.pi / 2, "back": math.pi}[view]
    lean = swing = 0.0
    ground = 0.5 + size / 2
    size *= STATURE[attributes.stature]
    if rng is not None:
        turn = (turn if rng.random() < 0.5 else -turn) + rng.normal(0, 0.22)
        lean, swing = rng.normal(0, 0.02), rng.normal(0, 3.0)
        size *= rng.uniform(0.97, 1.03)
        centre += rng.normal(0, 0.03)
        ground += rng.uniform(-0.012, 0.015)
    parts = parts_of(attributes, turn, pose, swing)
    stance = Stance(size, centre * width / height, ground, lean)
    return paint(parts, turn, height, width, stance, margin)
