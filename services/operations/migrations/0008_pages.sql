-- Quality reports are also archived as pages for people, one in each language.
ALTER TABLE archive DROP CONSTRAINT archive_format_check,
    ADD CONSTRAINT archive_format_check CHECK (format IN ('json', 'csv', 'html', 'html_ko'));
