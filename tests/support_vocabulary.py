"""A small made-up vocabulary in the shape of an Athena download.

Every name, code and id here is invented; none is from a licensed vocabulary.
"""


def table(columns, rows):
    """Return a file: names in words, rows with bars, both separated by tabs."""
    lines = [columns.replace(" ", "\t"), *rows.strip().splitlines()]
    return "".join(line.replace("|", "\t") + "\n" for line in lines)


CONCEPT = table(
    "concept_id concept_name domain_id vocabulary_id concept_class_id "
    "standard_concept concept_code valid_start_date valid_end_date "
    "invalid_reason",
    """
0|No matching concept|Metadata|None|Undefined||No matching concept|19700101|20991231|
900001|River rhythm|Condition|SNOMED|Disorder|S|90001|20020131|20991231|
900002|Rapid river rhythm|Condition|SNOMED|Disorder|S|90002|20020131|20991231|
900003|"Quoted" river, 河律|Condition|SNOMED|Disorder|S|90003|20020131|20991231|
900011|River rhythm|Condition|ICD10|ICD10 code||I48|20000101|20991231|
900012|Rapid river rhythm|Condition|ICD10|ICD10 code||I48.1|20000101|20991231|
900013|River rhythm, both|Condition|ICD10|ICD10 code||I48.2|20000101|20991231|
900014|Old river rhythm|Condition|ICD10|ICD10 code||I48.3|20000101|20101231|D
900021|Class of thinners|Drug|ATC|ATC 4th|C|B01AA|19700101|20991231|
900022|Old thinner|Drug|ATC|ATC 5th|C|B01AA03|19700101|20991231|
900031|Old thinner 1 mg|Drug|RxNorm|Clinical Drug|S|77001|19700101|20991231|
""",
)
ANCESTOR = table(
    "ancestor_concept_id descendant_concept_id min_levels_of_separation "
    "max_levels_of_separation",
    """
900001|900001|0|0
900002|900002|0|0
900003|900003|0|0
900001|900002|1|1
900001|900003|1|2
900021|900021|0|0
900022|900022|0|0
900021|900022|1|1
900021|900031|2|2
900022|900031|1|1
900031|900031|0|0
""",
)
RELATIONSHIP = table(
    "concept_id_1 concept_id_2 relationship_id valid_start_date "
    "valid_end_date invalid_reason",
    """
900011|900001|Maps to|20000101|20991231|
900012|900002|Maps to|20000101|20991231|
900013|900003|Maps to|20000101|20991231|
900013|900002|Maps to|20000101|20991231|
900014|900002|Maps to|20000101|20101231|D
900001|900011|Mapped from|20000101|20991231|
900001|900001|Maps to|20020131|20991231|
""",
)
VOCABULARY = table(
    "vocabulary_id vocabulary_name vocabulary_reference vocabulary_version "
    "vocabulary_concept_id",
    """
None|Made-up vocabularies|Nobody|v9.9 31-FEB-26|0
SNOMED|Made-up disorders|Nobody|2026|0
ICD10|Made-up classification|Nobody|2026|0
ATC|Made-up classes|Nobody|2026|0
RxNorm|Made-up drugs|Nobody|2026|0
""",
)
SYNONYM = table(
    "concept_id concept_synonym_name language_concept_id",
    """
900001|河流心律|4180186
900002|快速河流心律|4180186
""",
)
FILES = {
    "CONCEPT.csv": CONCEPT,
    "CONCEPT_ANCESTOR.csv": ANCESTOR,
    "CONCEPT_RELATIONSHIP.csv": RELATIONSHIP,
    "VOCABULARY.csv": VOCABULARY,
    "CONCEPT_SYNONYM.csv": SYNONYM,
}


def write_download(folder, **changed):
    """Write the download; `CONCEPT=...` replaces a file, None leaves it out."""
    folder.mkdir(parents=True, exist_ok=True)
    files = FILES | {f"{name}.csv": content for name, content in changed.items()}
    for name, content in files.items():
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode("utf-8")
            (folder / name).write_bytes(data)
    return folder
