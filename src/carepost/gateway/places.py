"""Names and places that unwanted mail uses: imitated names, pages without an owner, shorteners, cheap endings. Data."""

import re

_BRANDS = (
    "microsoft", "office 365", "office365", "outlook", "onedrive", "sharepoint", "docusign", "adobe", "dropbox",
    "icloud",
    "itunes", "amazon", "paypal", "netflix", "spotify", "facebook", "instagram", "whatsapp", "linkedin", "google",
    "coinbase", "binance", "metamask", "trust wallet", "trustwallet", "ledger", "trezor", "blockchain", "ripple",
    "uniswap",
    "kraken", "opensea", "bradesco", "itau", "itaú", "santander", "banco do brasil", "nubank", "livelo", "correios",
    "dhl",
    "fedex", "usps", "royal mail", "hermes", "evri", "dpd", "postnl", "hmrc", "gov.uk", "dvla", "tv licensing",
    "natwest",
    "barclays", "lloyds", "hsbc", "halifax", "nationwide", "monzo", "wells fargo", "bank of america", "citibank",
    "american express", "mastercard", "costco", "walmart", "lowe's", "home depot", "tesco", "aldi", "lidl",
    "sainsbury's",
    "ikea", "leroy merlin", "decathlon", "mcafee", "norton", "geek squad", "webmail", "nhsmail", "nhs mail", "nhs.net",
    "wetransfer", "godaddy", "booking.com", "airbnb", "telegram", "sparkasse", "volksbank", "commerzbank", "klarna",
    "la poste", "ameli", "impots", "ionos", "strato", "rewe", "edeka", "telekom", "vodafone", "coca cola", "shein",
)  # fmt: skip
# Names that are imitated most. A sender whose domain holds the name is not meant.
BRANDS = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in _BRANDS) + r")(?!\w)")


def _ends(*names: str) -> re.Pattern[str]:
    return re.compile(r"(?:^|\.)(?:" + "|".join(names) + r")$")


# Pages that anybody can put up in a minute, without a name.
FREE_HOSTING = _ends(
    r"storage\.googleapis\.com", r"storage\.cloud\.google\.com", r"firebaseapp\.com", r"web\.app", r"page\.link",
    r"run\.app", r"cloudfunctions\.net", r"appspot\.com", r"sites\.google\.com", r"script\.google\.com",
    r"blob\.core\.windows\.net", r"azurewebsites\.net", r"web\.core\.windows\.net", r"cloudapp\.azure\.com",
    r"s3[\w.-]{0,40}\.amazonaws\.com", r"pages\.dev", r"workers\.dev", r"r2\.dev", r"netlify\.app", r"vercel\.app",
    r"vercel-storage\.com", r"herokuapp\.com", r"onrender\.com", r"glitch\.me", r"github\.io", r"gitbook\.io",
    r"webflow\.io", r"weebly\.com", r"wixsite\.com", r"square\.site", r"godaddysites\.com", r"000webhostapp\.com",
    r"repl\.co", r"replit\.app", r"surge\.sh", r"ipfs\.io", r"dweb\.link", r"fleek\.co", r"typedream\.app",
    r"linodeobjects\.com", r"digitaloceanspaces\.com", r"backblazeb2\.com", r"trycloudflare\.com", r"ngrok\.io",
    r"ngrok-free\.app", r"duckdns\.org", r"translate\.goog", r"myftp\.biz", r"sa\.com", r"za\.com", r"co\.ua",
    r"biz\.ua",
)  # fmt: skip
SHARED_FILES = _ends(
    r"docs\.google\.com", r"drive\.google\.com", r"forms\.gle", r"1drv\.ms", r"sharepoint\.com", r"www\.dropbox\.com",
    r"we\.tl", r"mega\.nz", r"telegra\.ph", r"t\.me", r"wa\.me", r"forms\.office\.com",
)  # fmt: skip
SHORTENERS = _ends(
    r"bit\.ly", r"t\.co", r"tinyurl\.com", r"tinyurl\.ph", r"goo\.gl", r"ow\.ly", r"is\.gd", r"buff\.ly", r"rb\.gy",
    r"cutt\.ly", r"shorturl\.at", r"t\.ly", r"rebrand\.ly", r"lnkd\.in", r"s\.id", r"qrco\.de", r"dub\.sh", r"u\.to",
    r"v\.gd", r"ap\.lc",
)  # fmt: skip
PICTURE_HOSTS = _ends(
    r"imgur\.com", r"zupimages\.net", r"top4top\.io", r"ibb\.co", r"postimg\.cc", r"imgbb\.com", r"upload\.ee",
    r"freeimage\.host", r"prnt\.sc", r"gyazo\.com", r"photobucket\.com", r"image2url\.com",
)  # fmt: skip
# Endings of which most names in use are thrown away within a month.
CHEAP_ENDINGS = _ends(
    "click", "shop", "site", "online", "top", "xyz", "icu", "club", "space", "website", "live", "buzz", "fun", "cyou",
    "sbs", "cfd", "bond", "quest", "rest", "best", "lat", "monster", "skin", "hair", "makeup", "beauty", "autos",
    "boats",
    "homes", "yachts", "motorcycles", "pics", "mom", "lol", "bid", "loan", "work", "men", "gq", "cf", "ml", "tk", "ga",
    "su", "ru", "store", "life", "world", "today", "rocks", "pro", "vip", "win", "stream", "download", "bio", "cam",
    "zone", "guru", "agency", "one", "info", "biz", "us", "cc", "ws", "pw", "ink", "link", "re", "trade",
)  # fmt: skip
FREE_MAIL = _ends(
    r"gmail\.com", r"googlemail\.com", r"outlook\.\w+", r"hotmail\.[\w.]+", r"yahoo\.[\w.]+", r"live\.\w+", r"aol\.com",
    r"icloud\.com", r"gmx\.\w+", r"web\.de", r"mail\.ru", r"yandex\.\w+", r"proton(?:mail)?\.\w+", r"zoho\.com",
)  # fmt: skip
