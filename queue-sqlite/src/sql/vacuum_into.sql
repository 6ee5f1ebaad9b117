-- A copy of one snapshot, without free pages. It needs no lock that a writer needs.
VACUUM INTO ?1
