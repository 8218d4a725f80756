"""The ground floor: removals, errors, options, documents, atomic files, language and progress."""
