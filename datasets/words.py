"""The words that the built-in prompts are made of."""

# ruff: noqa: SIM905 (a list literal would take a line for every word)

NAMES = """Mary John Anna Peter Lisa Tom Sarah David Emma Paul Laura Mark Julia Simon
Kate Daniel Alice Martin Rose Henry Clara George Sophie Robert Helen Frank Diana Victor
Nora Oscar Irene Felix Martha Leon Grace Hugo Ruth Arthur Eva Walter Monica Bernard
Lydia Edward Sylvia Conrad Paula Theodore Beatrice Gregory Cecilia Vincent""".split()

SURNAMES = """Frost Baker Talbot Winter Carver Hollis Mercer Dunning Fletcher Granger
Hawkins Ingram Jarvis Keller Lambert Norwood Osborne Prescott Quimby Radcliffe Sawyer
Thornton Underwood Whitaker Yardley Barlow Crane Driscoll Everett Finch""".split()

PLACES = """store park school garden station market library museum beach office kitchen
theatre harbour castle hospital village""".split()

THINGS = """drink book ring letter basket lamp key ball flower cup hat coat spoon chair
bottle ticket picture blanket candle mirror hammer pencil box bag plate clock""".split()

COLOURS = """red blue green yellow black white brown purple orange grey pink
silver""".split()

WORDS = """river stone paper window apple train music forest silver doctor winter bridge
thunder candle pocket garden mountain shadow copper lemon ladder island marble feather
whistle lantern saddle kettle blossom timber velvet compass""".split()

EVENTS = "war strike voyage reign siege project exhibition drought".split()

# singular, plural
NOUNS = [
    ("key", "keys"),
    ("dog", "dogs"),
    ("teacher", "teachers"),
    ("picture", "pictures"),
    ("farmer", "farmers"),
    ("child", "children"),
    ("letter", "letters"),
    ("woman", "women"),
    ("horse", "horses"),
    ("lamp", "lamps"),
    ("sailor", "sailors"),
    ("box", "boxes"),
    ("singer", "singers"),
    ("house", "houses"),
    ("painter", "painters"),
    ("boat", "boats"),
    ("student", "students"),
    ("bird", "birds"),
]

ADJECTIVES = """old small quiet heavy new famous tired happy strange bright""".split()

# country: capital, language, continent, currency
COUNTRIES = {
    "France": ("Paris", "French", "Europe", "euro"),
    "Germany": ("Berlin", "German", "Europe", "euro"),
    "Italy": ("Rome", "Italian", "Europe", "euro"),
    "Spain": ("Madrid", "Spanish", "Europe", "euro"),
    "Portugal": ("Lisbon", "Portuguese", "Europe", "euro"),
    "Greece": ("Athens", "Greek", "Europe", "euro"),
    "Poland": ("Warsaw", "Polish", "Europe", "zloty"),
    "Sweden": ("Stockholm", "Swedish", "Europe", "krona"),
    "Norway": ("Oslo", "Norwegian", "Europe", "krone"),
    "Denmark": ("Copenhagen", "Danish", "Europe", "krone"),
    "Hungary": ("Budapest", "Hungarian", "Europe", "forint"),
    "Romania": ("Bucharest", "Romanian", "Europe", "leu"),
    "Bulgaria": ("Sofia", "Bulgarian", "Europe", "euro"),
    "England": ("London", "English", "Europe", "pound"),
    "Turkey": ("Ankara", "Turkish", "Asia", "lira"),
    "China": ("Beijing", "Chinese", "Asia", "yuan"),
    "Japan": ("Tokyo", "Japanese", "Asia", "yen"),
    "Thailand": ("Bangkok", "Thai", "Asia", "baht"),
    "Vietnam": ("Hanoi", "Vietnamese", "Asia", "dong"),
    "Mongolia": ("Ulaanbaatar", "Mongolian", "Asia", "tugrik"),
    "Iran": ("Tehran", "Persian", "Asia", "rial"),
    "Egypt": ("Cairo", "Arabic", "Africa", "pound"),
    "Morocco": ("Rabat", "Arabic", "Africa", "dirham"),
    "Ghana": ("Accra", "English", "Africa", "cedi"),
    "Angola": ("Luanda", "Portuguese", "Africa", "kwanza"),
    "Senegal": ("Dakar", "French", "Africa", "franc"),
    "Somalia": ("Mogadishu", "Somali", "Africa", "shilling"),
    "Brazil": ("Brasilia", "Portuguese", "America", "real"),
    "Mexico": ("Mexico City", "Spanish", "America", "peso"),
    "Chile": ("Santiago", "Spanish", "America", "peso"),
    "Peru": ("Lima", "Spanish", "America", "sol"),
    "Cuba": ("Havana", "Spanish", "America", "peso"),
}

# English: French, Spanish, German
DICTIONARY = {
    "dog": ("chien", "perro", "Hund"),
    "cat": ("chat", "gato", "Katze"),
    "house": ("maison", "casa", "Haus"),
    "book": ("livre", "libro", "Buch"),
    "water": ("eau", "agua", "Wasser"),
    "bread": ("pain", "pan", "Brot"),
    "tree": ("arbre", "árbol", "Baum"),
    "night": ("nuit", "noche", "Nacht"),
    "sun": ("soleil", "sol", "Sonne"),
    "moon": ("lune", "luna", "Mond"),
    "king": ("roi", "rey", "König"),
    "school": ("école", "escuela", "Schule"),
    "friend": ("ami", "amigo", "Freund"),
    "mother": ("mère", "madre", "Mutter"),
    "father": ("père", "padre", "Vater"),
    "street": ("rue", "calle", "Straße"),
    "milk": ("lait", "leche", "Milch"),
    "cheese": ("fromage", "queso", "Käse"),
    "horse": ("cheval", "caballo", "Pferd"),
    "bird": ("oiseau", "pájaro", "Vogel"),
    "flower": ("fleur", "flor", "Blume"),
    "heart": ("cœur", "corazón", "Herz"),
    "hand": ("main", "mano", "Hand"),
    "door": ("porte", "puerta", "Tür"),
    "window": ("fenêtre", "ventana", "Fenster"),
    "table": ("table", "mesa", "Tisch"),
    "snow": ("neige", "nieve", "Schnee"),
    "fire": ("feu", "fuego", "Feuer"),
    "stone": ("pierre", "piedra", "Stein"),
    "city": ("ville", "ciudad", "Stadt"),
    "year": ("année", "año", "Jahr"),
    "apple": ("pomme", "manzana", "Apfel"),
}
