"""A grammar of film titles that no film has, and a few that test a program: the words and the rules, no randomness."""

from random import Random

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)

COMPANIONS = {
    "Action": ("Adventure", "Thriller", "Sci-Fi", "Crime", "War"),
    "Adventure": ("Action", "Fantasy", "Children", "Western"),
    "Animation": ("Children", "Fantasy", "Comedy", "Musical"),
    "Children": ("Animation", "Comedy", "Fantasy", "Adventure"),
    "Comedy": ("Romance", "Drama", "Crime", "Children", "Musical"),
    "Crime": ("Thriller", "Drama", "Film-Noir", "Mystery"),
    "Documentary": ("War", "Musical"),
    "Drama": ("Romance", "War", "Crime", "Comedy", "Mystery"),
    "Fantasy": ("Adventure", "Animation", "Romance", "Children"),
    "Film-Noir": ("Crime", "Mystery", "Thriller"),
    "Horror": ("Thriller", "Mystery", "Sci-Fi"),
    "Musical": ("Romance", "Comedy", "Drama"),
    "Mystery": ("Thriller", "Crime", "Drama"),
    "Romance": ("Comedy", "Drama", "Musical"),
    "Sci-Fi": ("Action", "Thriller", "Adventure", "Horror"),
    "Thriller": ("Crime", "Mystery", "Action", "Drama"),
    "War": ("Drama", "Action"),
    "Western": ("Adventure", "Drama", "Action"),
}
"""Which genres a film of a genre often has besides it."""

_NOUNS = {
    "Action": "Detonator Overpass Convoy Freefall Countermand Payload Redline Bulkhead",
    "Adventure": "Cartographer Monsoon Caravan Archipelago Sextant Glacier Portage Headwater",
    "Animation": "Teakettle Snowplough Paperboat Hedgehog Windmill Button Pinwheel Sardine",
    "Children": "Treehouse Marmalade Puddle Lunchbox Wellington Kite Gingersnap Snail",
    "Comedy": "Landlord Casserole Brother-in-Law Karaoke Timeshare Parking Committee Mattress",
    "Crime": "Ledger Pawnshop Bagman Turnpike Alibi Docklands Locksmith Counterfeit",
    "Documentary": "Saltworks Ferrymen Beekeepers Tramway Orchard Reservoir Weavers Harvest",
    "Drama": "Inheritance Seamstress Estuary Winter Silence Vineyard Daughter Threshold",
    "Fantasy": "Thornwood Bellringer Changeling Ember Moonwell Griffin Candlekeep Runestone",
    "Film-Noir": "Streetlamp Cigarette Widow Rain Alley Telegram Neon Stairwell",
    "Horror": "Cellar Parish Marrow Scarecrow Wellspring Mourner Attic Crow",
    "Musical": "Trombone Encore Bandstand Chorus Accordion Footlight Waltz Serenade",
    "Mystery": "Postmark Cipher Lodger Hourglass Conservatory Thirteenth Lantern Keyhole",
    "Romance": "Umbrella Platform Letters Lighthouse September Balcony Florist Rendezvous",
    "Sci-Fi": "Orbit Perihelion Automaton Cryosleep Tether Uplink Terraform Singularity",
    "Thriller": "Witness Passenger Blackout Undertow Hostage Interval Frequency Trapdoor",
    "War": "Trench Armistice Battalion Bridgehead Bugle Dispatch Frontier Ration",
    "Western": "Stirrup Mesa Deputy Coyote Tumbleweed Sundown Stagecoach Palomino",
}
_ADJECTIVES = (
    "Amber Borrowed Careless Crooked Distant Eleventh Forgotten Gilded Hollow Idle Jagged Kindly Lopsided Midnight "
    "Nameless Obedient Patient Quarrelsome Restless Second-Hand Threadbare Unlikely Velvet Wayward Yellow"
)
_PLACES = (
    "Aberquill Brindlemoor Cascabel Dunmarrow Eastering Fallowmere Göteborg-Süd Hallowick Istrana Jökulvik Kestrel "
    "Lindenau Mirabel Nørrehavn Ostrava-Západ Port-Sainte-Élise Quillota Rávena São-Tadeu Tarnów-Dolny Vierzonette"
)
_NAMES = (
    "Agnieszka Beatriz Casimir Désirée Emrys François Gwendolen Håkon Ines Jürgen Katarzyna Leopold Małgosia Núria "
    "Ottoline Pär Quentin Rosalind Søren Thandiwe Ulrike Valentín Wilhelmina Ximena Yevgenia Zoë"
)
_ABROAD = (
    "Les Horloges de {place}",
    "L'Été de {name}",
    "À bientôt, {name}",
    "El último tren a {place}",
    "La niña y el faro de {place}",
    "Das Mädchen von {place}",
    "Über den Dächern von {place}",
    "Il giardino di {name}",
    "Perché no, {name}?",
    "O coração de {place}",
    "Ostatnia noc w {place}",
    "Žluté světlo v {place}",
    "Sista färjan till {place}",
    "{name} no natsu",
    "Ночь в городе {place}",
    "Το σπίτι στην {place}",  # noqa: RUF001  Greek
)
_AT_HOME = (
    "The {adjective} {noun}",
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "The {noun} of {place}",
    "{name} and the {noun}",
    "{number} {noun} Street",
    "A {noun} for {name}",
    "Goodbye, {adjective} {noun}",
    "The {noun}, the {second} and {name}",
    'They Called Her "{noun}"',
    "Who Sold {name}'s {noun}?",
    "{place}",
    "{noun} & {second}",
    "No {noun} in {place}",
    "{noun}: {adjective} {second}",
    "The Last {noun} Before {place}",
)
_SEQUELS = ("II", "III", "2", "3: The Return", "Part Two")

_LONG = "The Improbable, Entirely True and Only Slightly Embellished History of the {0} of {1}, as Told by {2} to "

HOSTILE: tuple[tuple[str, int | None, str], ...] = (
    ("[REC]", 2007, "Horror|Thriller"),
    ("[REC]²", 2009, "Horror|Thriller"),
    ("Foo [/bold]", None, "Comedy"),
    ("\x1b]0;owned\x07Night Ferry to Istrana", 1998, "Crime|Drama"),
    ("\x1b[2J\x1b[HThe Blank Screen", 2003, "Sci-Fi|Thriller"),
    ("Annual Report \u202efdp.exe", 2012, "Documentary"),
    ("הקיץ של נעמי", 2011, "Drama|Romance"),
    ("سفينة من ورق", 2016, "Adventure|Children"),
    ("👩‍👩‍👧‍👦 and the 🏳️‍🌈 Umbrella", 2018, "Children|Comedy"),
    ("静かな川と黄色い傘の長い物語", 2004, "Animation|Fantasy"),
    (_LONG.format("Teakettle", "Port-Sainte-Élise", "Ottoline") + "a Sceptical Jury of Snails", 1987, "Comedy|Fantasy"),
    ('=HYPERLINK("http://x")', None, "Mystery"),
    ("'; DROP TABLE items;--", None, "Action|Crime"),
)
"""Titles that break programs which trust their data: title, year, genres."""


def invented(random: Random, genre: str, year: int, taken: dict[str, int]) -> str:
    """Return a title for a film of the genre that is not among those taken, and add it to them with its year."""
    nouns = _NOUNS[genre].split()
    while True:
        noun, second = random.sample(nouns, 2)
        pattern = random.choice(_ABROAD if random.random() < 0.2 else _AT_HOME)
        title = pattern.format(
            noun=noun,
            second=second,
            adjective=random.choice(_ADJECTIVES.split()),
            place=random.choice(_PLACES.split()),
            name=random.choice(_NAMES.split()),
            number=random.randrange(3, 1000),
        )
        earlier = [old for old, old_year in taken.items() if old_year < year and not old.endswith(_SEQUELS)]
        if earlier and random.random() < 0.04:
            title = f"{random.choice(earlier)} {random.choice(_SEQUELS)}"
        if title not in taken and len(title) < 70:
            taken[title] = year
            return title
