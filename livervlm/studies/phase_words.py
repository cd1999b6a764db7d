"""Which phases the words of a series name: descriptions, protocols and file names, in several languages."""

import re
import unicodedata

from ..scans.conventions import PHASE_NAMES

CONTRAST = frozenset(PHASE_NAMES) - {"NC"}
# Kernels such as B30s and Br40f: a part of them reads like a time.
KERNEL = r"\b(?:b|bf|bl|br|bv|fc|h|hr|i|j|q|qr|t|u|ub|ur)\d{1,3}[a-z]?\b"
LOCALIZER = r"\b(?:scout\w*|topo\w*|locali[sz]er\w*|surview\w*|survey|scanogram\w*|pilot)\b"
BODY = r"\b(?:abd\w*|bauch|becken|pelvi\w*|chest|thora\w*|lung\w*|lat|pa|ct|c/?a/?p)\b"  # beside them AP is no phase
AGENT = r"(?:i ?v )?(?:contrast\w*|contraste|kontrast\w*|km|mdc|pdc|inj\w*|iv|c|ce|enhance\w*)\b"
NO = r"(?:w/o|wo|without|ohne|sans|senza|sin|zonder|bez|non|no|un|pre|vor|avant|before|minus)"
WITH = r"(?:w|with|mit|avec|con|met|z|post|nach|apres|after|dopo|tras)"
AND = r"(?: |/| ?\+ ?| (?:and|und|et|e|y|en|i) )"
NOT_A_PHASE = r"(?! ?(?:mar\b|metal|arte?i?fa|arms|ecg|ekg|oral|op\b|opera|liver|surg|treat|chemo|tace|rfa|ablat))"

# Read in this order; what was read is taken out of the text.  The first, contrast in the bowel, is no phase.
TOLD: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(phases.split()), pattern)
    for phases, pattern in (
        ("", rf"(?:\b(?:{WITH}|{NO}) )?\boral\w* (?:contrast\w*|kontrast\w*|km)\b"),
        (" ".join(PHASE_NAMES), rf"\b{WITH}{AND}{NO}\b|\b{NO}{AND}{WITH}\b"),
        ("NC", rf"\b{NO} ?{AGENT}|\b(?:w/o|wo|without|ohne|sans|senza|zonder|bez|pre)\b{NOT_A_PHASE}|\bc ?- ?pre\b"),
        ("NC", r"\b(?:nativ\w*|nat|plain|leer\w*|blanco|basale|fase basal|nc|ncct|nect|nce|unenhanced|nonenhanced)\b"),
        ("NC", r"\bnoncontrast\w*|натив\w*|бесконтраст\w*|без контраст\w*|平扫|平掃|単純|非造影"),
        ("ART", r"\b(?:late|early|spat\w*|spaet\w*|fruh\w*|frueh\w*|tardive|precoce) arter\w*"),
        ("ART", r"\b(?:spat|spaet|fruh|frueh)?arter\w*(?: (?:late|early|tardi\w*|precoce|precoz))?"),
        ("ART", r"\b(?:art|hap|eap|lap|tetnicza)\b|\bc ?\+ ?a(?:rt)?\b|артер\w*|动脉期?|動脈相?"),
        ("PV DL", r"\b(?:spat|spaet)(?:ven|port)\w*|\bnephro\w*"),
        ("PV", r"\b(?:fruh|frueh)?(?:portal\w*|porto\w*|venos\w*|venou\w*|veineu\w*|veneu\w*|wrotna|zylna)"),
        ("PV", r"\b(?:pv|pvp|hvp|vp|ven)\b|\bc ?\+ ?v(?:en)?\b|портал\w*|веноз\w*|门静?脉期?|門静?脈相?|静脉期"),
        ("DL", r"\b(?:delay\w*|late|laat|spat\w*|spaet\w*|tardi\w*|equilib\w*|gleichgewicht\w*|excret\w*|dl|dp)\b"),
        ("DL", r"отсроч\w*|поздн\w*|равновес\w*|延[迟遲]期?|遅延相?|平衡[期相]?"),
        ("ART PV DL", rf"\b{WITH} {AGENT}|\bc ?\+|\+ ?c\b|\b(?:contrast\w*|kontrast\w*|km|cect|enhanced)\b"),
    )
)
SECONDS = {"ART": (18, 45), "PV": (55, 100), "DL": (150, 900)}  # after injection; between them no phase is sure


def is_localizer(words: str) -> bool:
    """Whether the words call it a localizer."""
    return bool(re.search(LOCALIZER, _plain(words)))


def named_phases(words: str) -> frozenset[str]:
    """The phases that the words leave possible; all where they name none, or several."""
    text, named, agent = _plain(words), set(), False
    if re.search(r"\bap\b", text) and not re.search(f"{LOCALIZER}|{BODY}", text):
        named.add("ART")
    text = re.sub(KERNEL, " ", text)
    text = re.sub(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", " ", text)
    for number, unit in re.findall(r"\b(\d+) ?(s|se[ck]\w*|min\w*)\b", text):
        after = int(number) * (60 if unit.startswith("m") else 1)
        phases = {phase for phase, (first, last) in SECONDS.items() if first <= after <= last}
        if phases:
            named |= phases
            text = re.sub(r"\bdelay\w*", " ", text)  # of the scan after the injection
    for phases, pattern in TOLD:
        text, times = re.subn(pattern, " ", text)
        if times and phases == CONTRAST:
            agent = True
        elif times:
            named |= phases
    if agent:
        named = (named | CONTRAST) if named <= {"NC"} else named
    return frozenset(named or PHASE_NAMES)


def _plain(words: str) -> str:
    """Small letters without accents, and single spaces for all that is no letter, digit or sign of a phase."""
    text = unicodedata.normalize("NFKD", words).lower()
    text = "".join(c for c in text if not unicodedata.combining(c))
    return re.sub(r"\s+", " ", re.sub(r"[^\w+/-]|_", " ", text)).replace("-", " ").strip()
