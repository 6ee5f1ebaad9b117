-- Copies one snapshot without free pages. Takes no lock that blocks the writer.
VACUUM INTO ?1
