"""What a message to a person says: templates of a site, tried in a sandbox, else the stories of the code."""
