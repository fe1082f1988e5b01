"""The pictures a caller has made or sent: kept, searched, compared, judged. Another's are as if they did not exist."""
