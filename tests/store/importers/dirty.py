"""The matrix of dirty files: bytes, the rows that must be stored, and the refused rows by line and reason."""

from dataclasses import dataclass, field

HEADER = "userId,movieId,rating,timestamp\n"
SOUND = HEADER + "007,1e5,4.0,1112486027\n12345678901234567890,Ünïcode,3.5,1112484676\n"
STORED = {("007", "1e5"): (4.0, 1112486027), ("12345678901234567890", "Ünïcode"): (3.5, 1112484676)}


@dataclass
class Dirty:
    """One case; `stored` is (user, item) -> (rating, time)."""

    name: str
    data: bytes
    stored: dict[tuple[str, str], tuple[float, int | None]] = field(default_factory=lambda: dict(STORED))
    refused: dict[int, str] = field(default_factory=dict)
    duplicates: int = 0

    def __str__(self) -> str:
        return self.name


def one(rating: str = "3", time: str = "5", *, user: str = "u", item: str = "i") -> bytes:
    """A file with a sound row, and one with these fields on line 3."""
    return f"{HEADER}a,b,4,1000000000\n{user},{item},{rating},{time}\n".encode()


def scaled(rating: str) -> bytes:
    """A file with five sound rows, enough to show a scale of stars, and one with this rating on line 7."""
    return (HEADER + "".join(f"a,{item},4,1\n" for item in range(5)) + f"u,i,{rating},5\n").encode()


STARS: dict[tuple[str, str], tuple[float, int | None]] = {("a", str(item)): (4.0, 1) for item in range(5)}
BASE: dict[tuple[str, str], tuple[float, int | None]] = {("a", "b"): (4.0, 1_000_000_000)}
CASES = [
    Dirty("plain", SOUND.encode()),
    Dirty("utf-8-sig", SOUND.encode("utf-8-sig")),
    Dirty("utf-16 with mark", SOUND.encode("utf-16")),
    Dirty("utf-16-le", SOUND.encode("utf-16-le")),
    Dirty("utf-16-be", SOUND.encode("utf-16-be")),
    Dirty("utf-16-be with mark", "\ufeff".encode("utf-16-be") + SOUND.encode("utf-16-be")),
    Dirty("latin-1", SOUND.encode("latin-1")),
    Dirty("cp1252", (SOUND + "u,a€b,3,7\n").encode("cp1252"), {**STORED, ("u", "a€b"): (3.0, 7)}),
    Dirty("CRLF", SOUND.replace("\n", "\r\n").encode()),
    Dirty("CR", SOUND.replace("\n", "\r").encode()),
    Dirty("mixed line ends", HEADER.encode() + b"a,b,4,1000000000\r\nc,d,3,5\re,f,2,6\n",
          {**BASE, ("c", "d"): (3.0, 5), ("e", "f"): (2.0, 6)}),
    Dirty("no last line break", SOUND.rstrip("\n").encode()),
    Dirty("blank lines", SOUND.replace("\n", "\n\n  \n").encode()),
    Dirty("semicolon", SOUND.replace(",", ";").encode()),
    Dirty("tab", SOUND.replace(",", "\t").encode()),
    Dirty("bar", SOUND.replace(",", "|").encode()),
    Dirty("double colon", SOUND.replace(",", "::").encode()),
    Dirty("no header", SOUND.removeprefix(HEADER).encode()),
    Dirty("u.data", b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
          {("196", "242"): (3.0, 881250949), ("186", "302"): (3.0, 891717742)}),
    Dirty("NUL byte", one(item="x\0y"), BASE, {3: "NUL byte"}),
    Dirty("too few fields", HEADER.encode() + b"a,b,4,1000000000\nu,i,3\n", BASE, {3: "wrong number of fields"}),
    Dirty("too many fields", HEADER.encode() + b"a,b,4,1000000000\nu,i,3,5,6\n", BASE, {3: "wrong number of fields"}),
    Dirty("unbalanced quote", HEADER.encode() + b'u,"i,3,5\na,b,4,1000000000\n', BASE, {2: "unbalanced quote"}),
    Dirty("unbalanced quote before a sound one", HEADER.encode() + b'u,"i,3,5\na,"b",4,1000000000\n', BASE,
          {2: "unbalanced quote"}),
    Dirty("closing quote in mid-field", HEADER.encode() + b'u,"i"x,3,5\na,b,4,1000000000\n', BASE,
          {2: "unbalanced quote"}),
    Dirty("quote in mid-field", HEADER.encode() + b'a,b,4,1000000000\nu,5"x"y,3,5\n',
          {**BASE, ("u", '5"x"y'): (3.0, 5)}),
    Dirty("quoted everything", HEADER.encode() + b'"a","b","4","1000000000"\n', BASE),
    Dirty("quoted delimiter", one(item='"x,""y"""'), {**BASE, ("u", 'x,"y"'): (3.0, 5)}),
    Dirty("quoted line break", HEADER.encode() + b'u,"x\ny",3,5\na,b,4,1000000000\nq,w,-,1\n',
          {**BASE, ("u", "x\ny"): (3.0, 5)}, {5: "rating is not a number"}),
    Dirty("1 MB field", one(item="x" * 1_100_000), BASE, {3: "field over 1 MB"}),
    Dirty("long id", one(item="x" * 513), BASE, {3: "item id over 512 bytes"}),
    Dirty("longest id", one(user="x" * 512), {**BASE, ("x" * 512, "i"): (3.0, 5)}),
    Dirty("repeated header", one() + HEADER.encode(), {**BASE, ("u", "i"): (3.0, 5)}, {4: "rating is not a number"}),
    Dirty("NaN", one("NaN"), BASE, {3: "rating is not a number"}),
    Dirty("inf", one("-inf"), BASE, {3: "rating is not a number"}),
    Dirty("1e400", one("1e400"), BASE, {3: "rating is not a number"}),
    Dirty("underscore", one("1_0"), BASE, {3: "rating is not a number"}),
    Dirty("hexadecimal", one("0x3"), BASE, {3: "rating is not a number"}),
    Dirty("text for a number", one("good"), BASE, {3: "rating is not a number"}),
    Dirty("no rating", one(""), BASE, {3: "missing rating"}),
    Dirty("NULL rating", one("NULL"), BASE, {3: "missing rating"}),
    Dirty("zero", scaled("0"), STARS, {7: "rating outside the scale"}),
    Dirty("above the scale", scaled("5.5"), STARS, {7: "rating outside the scale"}),
    Dirty("exponent", one("30e-1"), {**BASE, ("u", "i"): (3.0, 5)}),
    Dirty("spaces around a number", one(" 3.0 ", " 5 "), {**BASE, ("u", "i"): (3.0, 5)}),
    Dirty("no user", one(user=""), BASE, {3: "missing user"}),
    Dirty("white space for an item", one(item="  "), BASE, {3: "missing item"}),
    Dirty("white space around ids", one(user=" u\u00a0", item="\ti "), {**BASE, ("u", "i"): (3.0, 5)}),
    Dirty("padded id is the same id", one(user=" a", item="b "), {("a", "b"): (4.0, 1_000_000_000)}, duplicates=1),
    Dirty("no time", one(time=""), {**BASE, ("u", "i"): (3.0, None)}),
    Dirty("negative time", one(time="-86400"), {**BASE, ("u", "i"): (3.0, -86_400)}),
    Dirty("milliseconds", one(time="1112486027123"), {**BASE, ("u", "i"): (3.0, 1_112_486_027)}),
    Dirty("fraction of a second", one(time="1112486027.9"), {**BASE, ("u", "i"): (3.0, 1_112_486_027)}),
    Dirty("year 9999", one(time="253402300799"), {**BASE, ("u", "i"): (3.0, 253_402_300_799)}),
    Dirty("ISO year 9999", one(time="9999-12-31T23:59:59Z"), {**BASE, ("u", "i"): (3.0, 253_402_300_799)}),
    Dirty("ISO date", one(time="2005-04-02"), {**BASE, ("u", "i"): (3.0, 1_112_400_000)}),
    Dirty("ISO with zone", one(time="2005-04-03 01:53:47+02:00"), {**BASE, ("u", "i"): (3.0, 1_112_486_027)}),
    Dirty("hexadecimal time", one(time="0x1F"), BASE, {3: "bad time"}),
    Dirty("time in words", one(time="yesterday"), BASE, {3: "bad time"}),
    Dirty("time beyond all years", one(time="9" * 30), BASE, {3: "bad time"}),
    Dirty("pair twice", one() + b"u,i,2,9\n", {**BASE, ("u", "i"): (2.0, 9)}, duplicates=1),
    Dirty("undecodable", one(item="Ünï") + b"q,\xff\xfe,3,5\n",
          {**BASE, ("u", "Ünï"): (3.0, 5)}, {4: "undecodable text"}),
    Dirty("undecodable in a column that is not read",
          "user,item,rating,note\na,b,4,Ünï\nc,d,3,".encode() + b"\xff\n",
          {("a", "b"): (4.0, None), ("c", "d"): (3.0, None)}),
]  # fmt: skip
