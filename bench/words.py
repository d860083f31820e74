"""What the sample mail of the measurements is made of: names, places and the vocabulary of a clinic. All invented."""

# ruff: noqa: SIM905 -- words are easier to read and to add to as text

GIVEN = (
    "Adaeze Alun Beatrix Bryony Callum Catrin Dafydd Delphine Eilidh Emeka Farida Fergus Gwen Hamish Idris Ines Jomo "
    "Katya Lachlan Leila Maeve Marek Nadia Niamh Osian Priya Rafiq Rhona Siobhan Tamsin Tomasz Usha Violet Wanda Yusuf"
).split()
FAMILY = (
    "Abernethy Adeyemi Bevan Blackwood Carmody Chowdhury Dunbar Eze Fairfax Gallagher Griffiths Hussain Iqbal Jarvis "
    "Kowalski Lomax MacLeod Mbeki Nair Okonkwo Pargeter Quigley Rasmussen Sandhu Trevelyan Underhill Vance Whitlock"
).split()
OUTSIDE = tuple(
    f"{name}.example"
    for name in (
        "northgate-hospital harbour-labs hillside-imaging eastmoor-surgery lantern-pharmacy moorland-hospice "
        "river-dental county-council weald-homecare summit-insurers clinic-supplies bulletin-medical"
    ).split()
)
INSIDE = "practice.example"
MATTERS = (
    "Referral;Blood results;Discharge letter;Clinic appointment;Repeat prescription;Scan report;Safeguarding query;"
    "Consent;Medication review;Follow-up;Rota;Case meeting;Home visit;Vaccination record"
).split(";")
CLINICS = (
    "cardiology;dermatology;haematology;paediatrics;fracture clinic;neurology;ophthalmology;physiotherapy;renal unit;"
    "day surgery;diabetes service;memory clinic;antenatal clinic"
).split(";")
VOCABULARY = (
    "patient reports describes denies chest abdominal headache shortness breath swelling ankle wheeze cough fatigue "
    "dizziness rash stable improved worse since last review today yesterday weeks months started stopped increased "
    "reduced tablet capsule inhaler injection morning night dose milligrams ramipril metformin amlodipine atorvastatin "
    "apixaban salbutamol prednisolone blood pressure pulse temperature oxygen saturation weight height sodium potassium "
    "creatinine haemoglobin ferritin platelets thyroid glucose urine culture sensitivity ultrasound radiograph "
    "endoscopy biopsy result normal raised low borderline awaiting please arrange review repeat test telephone letter "
    "appointment next Monday Tuesday Thursday with practice nurse consultant registrar pharmacist carer daughter son "
    "allergy none recorded penicillin plan agreed safety net advice given thank you for your help with this matter"
).split()
# One word each that only the letters searched for contain.
SUBJECT_NEEDLE, BODY_NEEDLE, SENDER_NEEDLE = "Quillwort", "sphenopalatine", "zephyrine"
