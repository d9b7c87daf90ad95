"""HTTP code that every app uses: middleware, problem documents, pagination."""
