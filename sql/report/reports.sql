SELECT session, inputs FROM session_reports
