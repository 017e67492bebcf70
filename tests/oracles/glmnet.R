# Fits of R's glmnet and cv.glmnet to the table of each case in a folder.
# A case is NAME.csv with y, w, offset, fold and x1 ..., and NAME.lambda.csv with the
# strengths; its name begins with the family and the lasso's share, such as
# "poisson-0.5-...". Written are NAME.fits.csv (a row a coefficient, a column a strength)
# and, of folds above 0, NAME.cv.csv.
suppressPackageStartupMessages(library(glmnet))
folder <- commandArgs(trailingOnly = TRUE)[1]
glmnet.control(fdev = 0, devmax = 1, mxitnr = 100)
for (file in list.files(folder, pattern = "[.]lambda[.]csv$")) {
  case <- sub("[.]lambda[.]csv$", "", file)
  family <- strsplit(case, "-")[[1]][1]
  alpha <- as.numeric(strsplit(case, "-")[[1]][2])
  table <- read.csv(file.path(folder, paste0(case, ".csv")))
  lambda <- read.csv(file.path(folder, file))$lambda
  x <- as.matrix(table[, grep("^x", names(table))])
  shape <- list(
    x = x, y = table$y, weights = table$w, offset = table$offset, family = family,
    alpha = alpha, lambda = lambda, thresh = 1e-21, maxit = 1e6
  )
  fit <- do.call(glmnet, shape)
  write.csv(as.matrix(coef(fit)), file.path(folder, paste0(case, ".fits.csv")))
  if (max(table$fold) > 0) {
    cv <- do.call(cv.glmnet, c(shape, list(
      foldid = table$fold, type.measure = "deviance"
    )))
    found <- data.frame(
      cvm = cv$cvm, cvsd = cv$cvsd, min = cv$lambda.min, se = cv$lambda.1se
    )
    write.csv(found, file.path(folder, paste0(case, ".cv.csv")))
  }
}
